package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/version"
)

func newVersion(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(p.stdout, version.String()) },
	}
}
