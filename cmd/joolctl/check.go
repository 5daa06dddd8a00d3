package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/configdir"
)

func newCheck(p *program) *cobra.Command {
	return &cobra.Command{
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
			return p.tellCheck(result)
		},
	}
}

func (p *program) tellCheck(result configdir.Result) error {
	good := 0
	for _, pair := range result.Pairs {
		for _, problem := range pair.Problems {
			line := problem.Error()
			if problem.Warning {
				line += " (warning)"
			}
			fmt.Fprintln(p.stdout, line)
		}
		if pair.OK() {
			good++
		}
	}
	fmt.Fprintf(p.stdout, "%d of %s good\n", good, count(len(result.Pairs), "pair is", "pairs are"))
	if good < len(result.Pairs) {
		return errNotWell
	}
	return nil
}

// count is a number and its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
