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

// newOutput adds the flag to a command.
func newOutput(cmd *cobra.Command, names ...string) *output {
	o := &output{names: names}
	cmd.Flags().StringVarP(&o.name, "output", "o", names[0], o.list())
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(names, cobra.ShellCompDirectiveNoFileComp)) // fails only for unknown flags
	return o
}

// list names the possible outputs, for example "table, wide or json".
func (o *output) list() string {
	last := len(o.names) - 1
	return strings.Join(o.names[:last], ", ") + " or " + o.names[last]
}

// check returns an error if there is no such output.
func (o *output) check() error {
	if slices.Contains(o.names, o.name) {
		return nil
	}
	return fmt.Errorf("there is no output %q; write %s", o.name, o.list())
}

func (o *output) json() bool { return o.name == "json" }

// writeJSON writes an indented value.
func writeJSON(w io.Writer, v any) error {
	out := json.NewEncoder(w)
	out.SetIndent("", "  ")
	out.SetEscapeHTML(false)
	return out.Encode(v)
}
