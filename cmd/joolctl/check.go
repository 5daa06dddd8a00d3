package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/configdir"
)

// checked is the answer of `joolctl check -o json`.
type checked struct {
	// Good is true if all pairs are fit to run.
	Good bool `json:"good"`
	// Pairs are the pairs of the directory, in natural order of their names.
	Pairs []checkedPair `json:"pairs"`
}

// checkedPair is one pair of the directory.
type checkedPair struct {
	// Name is the name of the pair.
	Name string `json:"name"`
	// Good is true if the pair is fit to run. It may have warnings.
	Good bool `json:"good"`
	// Problems are the mistakes in the pair's files.
	Problems []checkedProblem `json:"problems"`
}

// checkedProblem is one mistake in a file.
type checkedProblem struct {
	// Code is error if the pair is not fit to run with the mistake, else warning.
	Code string `json:"code"`
	// File is the path of the file.
	File string `json:"file"`
	// Line is the line of the mistake, from 1 on. It is 1 for something that is missing.
	Line int `json:"line"`
	// Column is the column of the mistake in bytes, from 1 on. It is 1 for something that is missing.
	Column int `json:"column"`
	// Key is the key of the file that is concerned. It is missing if the file as a whole is.
	Key string `json:"key,omitempty"`
	// Text says what is wrong and, behind a semicolon, what to write. Its wording may change.
	Text string `json:"text"`
}

func newCheck(p *program) *cobra.Command {
	var out *output
	cmd := &cobra.Command{
		Use:   "check [DIR]",
		Short: "Validate a directory of pairs without running it",
		Long: `Validate the pairs of a directory (default ` + defaultDir + `) without running
them. Prints every error and warning with its place; exits with 1 on errors.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			result, err := configdir.Check(directory(args))
			if err != nil {
				return failed{err}
			}
			return p.printCheck(result, out)
		},
	}
	out = newOutput(cmd, "text", "json")
	return cmd
}

func (p *program) printCheck(result configdir.Result, out *output) error {
	good := 0
	for _, pair := range result.Pairs {
		if pair.OK() {
			good++
		}
	}
	if out.json() {
		if err := writeJSON(p.stdout, checkedOf(result)); err != nil {
			return failed{err}
		}
	} else {
		p.listProblems(result)
		fmt.Fprintf(p.stdout, "%d of %s good\n", good, table.Count(len(result.Pairs), "pair is", "pairs are"))
	}
	if good < len(result.Pairs) {
		return errNotWell
	}
	return nil
}

func (p *program) listProblems(result configdir.Result) {
	for _, pair := range result.Pairs {
		for _, problem := range pair.Problems {
			fmt.Fprintln(p.stdout, problemLine(problem))
		}
	}
}

func problemLine(problem configdir.Problem) string {
	if problem.Warning {
		return problem.Error() + " (warning)"
	}
	return problem.Error()
}

func checkedOf(result configdir.Result) checked {
	c := checked{Good: true, Pairs: []checkedPair{}}
	for _, pair := range result.Pairs {
		one := checkedPair{Name: pair.Name, Good: pair.OK(), Problems: []checkedProblem{}}
		c.Good = c.Good && one.Good
		for _, problem := range pair.Problems {
			code := "error"
			if problem.Warning {
				code = "warning"
			}
			one.Problems = append(one.Problems, checkedProblem{code, problem.File, problem.Line, problem.Column, problem.Key, problem.Message})
		}
		c.Pairs = append(c.Pairs, one)
	}
	return c
}
