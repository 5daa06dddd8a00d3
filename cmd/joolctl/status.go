package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"joolctl/supervisor"
)

// formats are how status can be shown.
var formats = map[string]func(w io.Writer, s supervisor.Status, now time.Time, colours bool) error{
	"table": func(w io.Writer, s supervisor.Status, now time.Time, colours bool) error {
		return writeTable(w, s, tableOptions{now: now, colours: colours})
	},
	"wide": func(w io.Writer, s supervisor.Status, now time.Time, colours bool) error {
		return writeTable(w, s, tableOptions{now: now, colours: colours, wide: true})
	},
	"json": func(w io.Writer, s supervisor.Status, _ time.Time, _ bool) error {
		return writeJSON(w, s)
	},
}

// watchPeriod is how often --watch asks.
const watchPeriod = time.Second

func newStatus(p *program) *cobra.Command {
	var output string
	var watch bool
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show every worker: its state, traffic, losses and peers",
		Long: `Show every worker, or those of the named pairs: its state, the packets that it
sent and received, those that are known to be lost, the peers heard (and how long
ago), and since when it is in its state. Exits with 1 if one is not running.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if formats[output] == nil {
				return fmt.Errorf("there is no output %q; write table, wide or json", output)
			}
			if watch {
				return p.watchStatus(cmd.Context(), names, output)
			}
			return p.showStatus(cmd.Context(), names, output, p.stdout)
		},
		ValidArgsFunction: p.completeNames,
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, wide or json")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it every second, until interrupted")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(
		[]string{"table", "wide", "json"}, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
	return cmd
}

func (p *program) showStatus(ctx context.Context, names []string, output string, w io.Writer) error {
	status, err := p.client().Status(ctx, names)
	if err != nil {
		return failed{err}
	}
	if err := formats[output](w, status, time.Now(), coloured(p.stdout)); err != nil {
		return failed{err}
	}
	if status.Reason != "" {
		return errNotWell
	}
	for _, row := range status.Workers {
		if row.State != supervisor.Running {
			return errNotWell
		}
	}
	return nil
}
