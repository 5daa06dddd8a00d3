package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/supervisor"
)

func newReload(p *program) *cobra.Command {
	var out *output
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Have the supervisor read its directory now, and tell what changed",
		Long: `Have the supervisor read its directory now. Prints what changed, when it has
taken effect, and what was refused; exits with 1 if anything was.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			reload, err := p.client().Reload(cmd.Context())
			if err != nil {
				return failed{err}
			}
			return p.tellReload(reload, out)
		},
	}
	out = newOutput(cmd, "text", "json")
	return cmd
}

func (p *program) tellReload(reload supervisor.Reload, out *output) error {
	if out.json() {
		if err := writeJSON(p.stdout, reload); err != nil {
			return failed{err}
		}
		if len(reload.Refused) > 0 {
			return errNotWell
		}
		return nil
	}
	for _, c := range reload.Changes {
		line := c.Name + ": " + c.What
		if c.From != "" {
			line += " (before: " + c.From + ")"
		}
		if c.State != "" {
			line += ", now " + string(c.State)
		}
		if c.Reason != "" {
			line += ": " + c.Reason
		}
		fmt.Fprintln(p.stdout, line)
	}
	for _, r := range reload.Refused {
		for _, reason := range r.Reasons {
			fmt.Fprintf(p.stderr, "joolctl: %s: refused, it stays %s: %s\n", r.Name, r.State, reason.Text)
		}
	}
	switch {
	case len(reload.Refused) > 0:
		return errNotWell
	case len(reload.Changes) == 0:
		fmt.Fprintln(p.stdout, "nothing has changed")
	}
	return nil
}
