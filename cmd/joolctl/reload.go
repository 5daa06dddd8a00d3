package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"joolctl/supervisor"
)

func newReload(p *program) *cobra.Command {
	var out *output
	dryRun := false
	cmd := &cobra.Command{
		Use:   "reload [--dry-run [DIR]]",
		Short: "Have the supervisor read its directory now, and show the changes",
		Long: `Have the supervisor read its directory now. Prints what changed, when it has
taken effect, and what was refused; exits with 1 if anything was.

With --dry-run, nothing changes: it prints what would change if the supervisor's
directory had the content of DIR (default: that directory itself).`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 && !dryRun {
				return errors.New("a directory needs --dry-run; without it, the supervisor reads its own")
			}
			return cobra.MaximumNArgs(1)(nil, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			reload, err := p.reload(cmd.Context(), dryRun, args)
			if err != nil {
				return failed{err}
			}
			return p.printReload(reload, dryRun, out)
		},
	}
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "change nothing; print what would change")
	out = newOutput(cmd, "text", "json")
	return cmd
}

func (p *program) reload(ctx context.Context, dryRun bool, args []string) (supervisor.Reload, error) {
	if !dryRun {
		return p.client().Reload(ctx)
	}
	dir := ""
	if len(args) > 0 {
		var err error
		if dir, err = filepath.Abs(args[0]); err != nil {
			return supervisor.Reload{}, err
		}
	}
	return p.client().DryRun(ctx, dir)
}

func (p *program) printReload(reload supervisor.Reload, dryRun bool, out *output) error {
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
		line := c.Name + ": " + c.Action
		if dryRun {
			line = c.Name + ": would be " + c.Action
		}
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
			refused := "refused, it stays"
			if dryRun {
				refused = "would be refused, and stay"
			}
			fmt.Fprintf(p.stderr, "joolctl: %s: %s %s: %s\n", r.Name, refused, r.State, reason.Text)
		}
	}
	switch {
	case len(reload.Refused) > 0:
		return errNotWell
	case dryRun && len(reload.Changes) == 0:
		fmt.Fprintln(p.stdout, "nothing would change")
	case len(reload.Changes) == 0:
		fmt.Fprintln(p.stdout, "nothing has changed")
	}
	return nil
}
