package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/supervisor"
)

func newAdvertise(p *program) *cobra.Command {
	var all bool
	return namesOrAll(&cobra.Command{
		Use:   "advertise NAME...|--all",
		Short: "Send the peers all sessions of some instances",
		RunE: func(cmd *cobra.Command, args []string) error {
			outcomes, err := p.client().Advertise(cmd.Context(), args, all)
			if err != nil {
				return failed{err}
			}
			return p.tell(outcomes, "advertised")
		},
	}, p, &all)
}

// tell prints what a command came to for each pair.
func (p *program) tell(outcomes []supervisor.Outcome, done string) error {
	var result error
	for _, o := range outcomes {
		if o.Error != "" {
			fmt.Fprintf(p.stderr, "joolctl: %s: %s\n", o.Name, o.Error)
			result = errNotWell
			continue
		}
		fmt.Fprintf(p.stdout, "%s: %s\n", o.Name, done)
	}
	return result
}
