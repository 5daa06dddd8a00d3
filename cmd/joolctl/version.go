package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/version"
)

func newVersion(p *program) *cobra.Command {
	var out *output
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, the commit, and the versions of Jool it is tested with",
		Long: `Print the version, the commit that it was built from, the version of Go that
compiled it, the version of the protocol between hosts, and the versions of Jool
that it is tested with. "joolctl --version" prints the version alone.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if out.json() {
				return writeJSON(p.stdout, version.Get())
			}
			return writeVersion(p.stdout, version.Get())
		},
	}
	out = newOutput(cmd, "text", "json")
	return cmd
}

func writeVersion(w io.Writer, v version.Info) error {
	commit := v.Commit
	if commit == "" {
		commit = "unknown"
	}
	_, err := fmt.Fprintf(w, "joolctl %s\ncommit        %s\nbuilt with    %s\nwire version  %d\ntested with   Jool %s\n",
		v.Version, commit, v.Go, v.Wire, strings.Join(v.Jool, ", "))
	return err
}
