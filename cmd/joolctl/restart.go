package main

import "github.com/spf13/cobra"

func newRestart(p *program) *cobra.Command {
	var all bool
	return namesOrAll(&cobra.Command{
		Use:   "restart NAME...|--all",
		Short: "Stop the workers of some pairs and start others",
		RunE: func(cmd *cobra.Command, args []string) error {
			outcomes, err := p.client().Restart(cmd.Context(), args, all)
			if err != nil {
				return failed{err}
			}
			return p.printOutcomes(outcomes, "restarted")
		},
	}, p, &all)
}
