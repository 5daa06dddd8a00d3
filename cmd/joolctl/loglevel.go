package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/logging"
)

func newLogLevel(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "log-level [debug|info|warn|error]",
		Short: "Show or change the lowest level that the supervisor logs",
		Long: `Show the lowest level that the supervisor logs, or change it until the supervisor
ends. "joolctl up --log-level" sets it at the start.

The level debug explains each session of a peer that is not given to the module:
a line for each. Go back to info when you have seen enough.`,
		Example: `  joolctl log-level debug
  joolctl log-level info`,
		Args:      cobra.MaximumNArgs(1),
		ValidArgs: logging.Levels,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				if _, err := logging.ParseLevel(args[0]); err != nil {
					return err
				}
				if _, err := p.client().SetLogLevel(cmd.Context(), args[0]); err != nil {
					return failed{err}
				}
				return nil
			}
			level, err := p.client().LogLevel(cmd.Context())
			if err != nil {
				return failed{err}
			}
			fmt.Fprintln(p.stdout, level.Level)
			return nil
		},
	}
}
