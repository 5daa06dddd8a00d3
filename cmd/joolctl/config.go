package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/configdir"
)

// configured is the answer of `joolctl config NAME -o json`.
type configured struct {
	// Name is the name of the pair.
	Name string `json:"name"`
	// Good is true if the pair is fit to run. Otherwise `joolctl check` says why it is not.
	Good bool `json:"good"`
	// Settings are the values of all keys of both files, in the order of docs/configuration.md.
	Settings []configuredKey `json:"settings"`
}

// configuredKey is the value of a key.
type configuredKey struct {
	// File is netsocket or modsocket.
	File string `json:"file"`
	// Key is the name of the key.
	Key string `json:"key"`
	// Value is the value in JSON, as in the file. It is missing if neither the file nor the key's default gives one.
	Value json.RawMessage `json:"value,omitempty"`
	// Without says what holds without a value. It is missing if there is one. Its wording may change.
	Without string `json:"without,omitempty"`
	// Path is the path of the file that gives the value. It is missing for a default.
	Path string `json:"path,omitempty"`
	// Line is the line of the value, from 1 on. It is missing for a default.
	Line int `json:"line,omitempty"`
}

func newConfig(p *program) *cobra.Command {
	var out *output
	cmd := &cobra.Command{
		Use:   "config NAME [DIR]",
		Short: "Show the value of each key of a pair, and its source",
		Long: `Show the value of each key of a pair in a directory (default ` + defaultDir + `),
and its source: a line of a file, or the key's default. It reads the
files, whether or not a supervisor uses them. Exits with 1 if the pair is not
fit to run.`,
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: p.completeOneName,
		RunE: func(_ *cobra.Command, args []string) error {
			dir := directory(args[1:])
			result, err := configdir.Check(dir)
			if err != nil {
				return failed{err}
			}
			for _, pair := range result.Pairs {
				if pair.Name == args[0] {
					return p.showConfig(pair, out)
				}
			}
			return failed{fmt.Errorf("there is no pair %q in %s; `joolctl check %[2]s -o json` lists the pairs", args[0], dir)}
		},
	}
	out = newOutput(cmd, "table", "json")
	return cmd
}

func (p *program) showConfig(pair configdir.Pair, out *output) error {
	p.warnProblems(pair)
	if err := p.writeConfig(pair, out); err != nil {
		return failed{err}
	}
	if !pair.OK() {
		return errNotWell
	}
	return nil
}

// warnProblems writes the problems of a pair to stderr.
func (p *program) warnProblems(pair configdir.Pair) {
	for _, problem := range pair.Problems {
		fmt.Fprintf(p.stderr, "joolctl: %s\n", problemLine(problem))
	}
}

func (p *program) writeConfig(pair configdir.Pair, out *output) error {
	if out.json() {
		return writeJSON(p.stdout, configuredOf(pair))
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "FILE\tKEY\tVALUE\tSOURCE")
	for _, s := range pair.Settings() {
		value, source := s.Value, "default"
		switch {
		case s.Path != "":
			source = fmt.Sprintf("%s:%d", s.Path, s.Line)
		case value == "":
			value, source = "-", s.Without
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.File, s.Key, oneLine(value), source)
	}
	return w.Flush()
}

// oneLine returns a JSON value in one line.
func oneLine(value string) string {
	var b bytes.Buffer
	if json.Compact(&b, []byte(value)) == nil {
		value = b.String()
	}
	return table.Cell(value)
}

func configuredOf(pair configdir.Pair) configured {
	c := configured{Name: pair.Name, Good: pair.OK()}
	for _, s := range pair.Settings() {
		c.Settings = append(c.Settings, configuredKey{s.File, s.Key, json.RawMessage(s.Value), s.Without, s.Path, s.Line})
	}
	return c
}
