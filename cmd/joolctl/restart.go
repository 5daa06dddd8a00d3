package main

import "github.com/spf13/cobra"

func newRestart(p *program) *cobra.Command {
	var all bool
	return namesOrAll(&cobra.Command{
		Use:   "restart NAME...|--all",
		Short: "Stop the workers of some pairs and start others",
		Long: `Stop the workers of some pairs and start others. The counters continue. A new
worker requests the table from its peers, so the host is not ready until that
full sync has ended. Returns when each worker has reached a state; exits with 1
if one is not running.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			outcomes, err := p.client().Restart(cmd.Context(), args, all)
			if err != nil {
				return failed{err}
			}
			return p.printOutcomes(outcomes, "restarted")
		},
	}, p, &all)
}
