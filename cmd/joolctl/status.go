package main

import (
	"context"
	"io"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/supervisor"
)

// formats are the functions for the values of status's flag -o.
var formats = map[string]func(w io.Writer, s supervisor.Status, now time.Time, colours bool) error{
	"table": func(w io.Writer, s supervisor.Status, now time.Time, colours bool) error {
		return table.Write(w, s, table.Options{Now: now, Colours: colours})
	},
	"wide": func(w io.Writer, s supervisor.Status, now time.Time, colours bool) error {
		return table.Write(w, s, table.Options{Now: now, Colours: colours, Wide: true})
	},
	"json": func(w io.Writer, s supervisor.Status, _ time.Time, _ bool) error {
		return writeJSON(w, s)
	},
}

// watchPeriod is how often --watch asks.
const watchPeriod = time.Second

func newStatus(p *program) *cobra.Command {
	var out *output
	var watch bool
	var order *string
	cmd := &cobra.Command{
		Use:   "status [NAME...]",
		Short: "Show every worker: its state, completeness, lag, rates, losses and peers",
		Long: `Show every worker, or those of the named pairs. Exits with 1 if one is not
running.

  INSTANCE  the Jool instance, and its network namespace behind an @
  SYNCED    yes if the table has all sessions of the peers' tables, no if not
            (with the progress of a full sync), alone if no peer can tell
  SESSIONS  in this table, and in the largest table of a live peer
  LAG       how many sessions of this host a live peer had not stored at its last
            HELLO, and how long ago the oldest of them was sent; ? if a peer
            needs a full sync first, - without a live peer. HELLOs come each
            second under traffic
  IN/s      sessions per second given to the module, over 10 to 15 seconds
  OUT/s     sessions per second sent to the peers, over 10 to 15 seconds
  LOST      sessions that the module did not report, that could not be sent, or
            that the module could not store; a full sync may have brought them
  PEERS     peers that are live
  SINCE     how long the worker has been in its state

Below the table are the reasons why a host is not ready, and what to do. The
output wide adds what became of the sessions stage by stage, the peers, the last
full sync, and how long a new session exists on this host only.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			sorted, err := orderOf(*order)
			if err != nil {
				return err
			}
			show := func(w io.Writer) error { return p.showStatus(cmd.Context(), names, out.name, sorted, w) }
			if watch {
				return p.watchStatus(cmd.Context(), out.name, show)
			}
			return show(p.stdout)
		},
		ValidArgsFunction: p.completeNames,
	}
	out = newOutput(cmd, "table", "wide", "json")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show it every second, until interrupted")
	order = newSort(cmd, "name")
	sort := cmd.Flags().Lookup("sort")
	sort.NoOptDefVal, sort.Usage = "severity", sort.Usage+"; --sort alone means severity"
	return cmd
}

func (p *program) showStatus(ctx context.Context, names []string, output string, order table.Order, w io.Writer) error {
	status, err := p.client().Status(ctx, names)
	if err != nil {
		return failed{err}
	}
	order.Sort(status.Workers)
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
