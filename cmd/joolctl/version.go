package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/version"
)

func newVersion(p *program) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what it was built from and tested with",
		Long: `Print the version, the commit that it was built from, the version of Go that
compiled it, the version of the protocol between hosts, and the versions of Jool
that it is tested with. "joolctl --version" prints the version alone.`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch output {
			case "text":
				return writeVersion(p.stdout, version.Get())
			case "json":
				return writeJSON(p.stdout, version.Get())
			}
			return fmt.Errorf("there is no output %q; write text or json", output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
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

// writeJSON writes a value for people and scripts alike.
func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}
