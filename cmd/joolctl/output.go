package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// output is the value of a command's flag -o.
type output struct {
	name  string
	names []string // the possible values, the default first
}

// newOutput adds the flag to a command, which then runs only with one of the values.
func newOutput(cmd *cobra.Command, names ...string) *output {
	o := &output{names: names}
	cmd.Flags().StringVarP(&o.name, "output", "o", names[0], anyOf(names))
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // fails only for unknown flags
	cmd.PreRunE = func(*cobra.Command, []string) error { return o.check() }
	return o
}

// anyOf names values in a sentence, for example "table, wide or json".
func anyOf(names []string) string {
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// check returns an error if there is no such output.
func (o *output) check() error {
	if slices.Contains(o.names, o.name) {
		return nil
	}
	return fmt.Errorf("there is no output %q; write %s", o.name, anyOf(o.names))
}

func (o *output) json() bool { return o.name == "json" }

// writeJSON writes an indented value.
func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}
