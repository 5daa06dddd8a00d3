package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

func newDown(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Stop the supervisor and all its workers",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			down, err := p.client().Down(cmd.Context())
			if err != nil {
				return failed{err}
			}
			if len(down.Hung) > 0 {
				return failed{fmt.Errorf("these workers did not stop in time: %s", strings.Join(down.Hung, ", "))}
			}
			return nil
		},
	}
}
