package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/eventlog"
	"joolctl/supervisor"
)

const (
	// followWait is how long each request of --follow waits for an event.
	followWait = 10 * time.Second
	// askAgainAfter is the time between two requests if the supervisor does not answer, or does not wait.
	askAgainAfter = time.Second
)

func newEvents(p *program) *cobra.Command {
	var out *output
	var follow bool
	var lines int
	cmd := &cobra.Command{
		Use:   "events [NAME...]",
		Short: "Show the events of the pairs: states, verdicts, full syncs, peers, losses",
		Long: `Show the latest events of all pairs, or of the named ones, the oldest first.

  state             the worker came into another state
  files             files appeared, changed, were refused or disappeared
  verdict           the table has all sessions of the peers' tables, or not any more
  peers             a peer is live, or not any more; noticed within 5 seconds
  link              the network socket can neither send nor receive, or can again
  full-sync-began, full-sync-ended, full-sync-failed
  losses            counters of losses rose; noticed within 5 seconds
  settings          "tune ss" changed a setting of the instance

The supervisor keeps ` + fmt.Sprint(eventlog.Room) + ` events in memory. When it starts, there are none.
With -o json, each line is a JSON object.`,
		Example: `  joolctl events blue -n 20
  joolctl events -f -o json`,
		RunE: func(cmd *cobra.Command, names []string) error {
			if lines < 0 {
				return fmt.Errorf("-n %d: write 0 or more events", lines)
			}
			e := eventPrinter{w: p.stdout, json: out.json(), colours: coloured(p.stdout)}
			if !cmd.Flags().Changed("lines") {
				lines = -1
			}
			if err := p.events(cmd.Context(), names, lines, follow, e); err != nil {
				return failed{err}
			}
			return nil
		},
		ValidArgsFunction: p.completeNames,
	}
	out = newOutput(cmd, "text", "json")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "print new events until interrupted")
	cmd.Flags().IntVarP(&lines, "lines", "n", 0, "the latest `N` events only (default: all that the supervisor has)")
	return cmd
}

// events prints the latest events; -1 prints all. With follow, it also prints new events until ctx ends.
func (p *program) events(ctx context.Context, names []string, latest int, follow bool, e eventPrinter) error {
	events, err := p.client().Events(ctx, names, supervisor.EventsOptions{})
	if err != nil {
		return err
	}
	if n := len(events.Events); latest >= 0 && n > latest {
		events.Events = events.Events[n-latest:]
	}
	if err := e.print(events.Events); err != nil || !follow {
		return err
	}
	gone := false
	for o := (supervisor.EventsOptions{After: events.Last, Wait: followWait}); ctx.Err() == nil; {
		began := time.Now()
		events, err := p.client().Events(ctx, names, o)
		var unknown *supervisor.UnknownName
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &unknown) && !gone: // the next supervisor may not have read its directory yet
			return err
		case err != nil: // it stops, or has stopped
			if !gone {
				fmt.Fprintf(p.stderr, "joolctl: %v; waiting for the next supervisor\n", err)
			}
			gone = true
		default:
			if events.Last < o.After { // the supervisor has started again, and the clock was set back since
				events.Last = 0
			}
			gone, o.After = false, events.Last
			if err := e.print(events.Events); err != nil {
				return err
			}
		}
		if err != nil || len(events.Events) == 0 && time.Since(began) < askAgainAfter {
			select {
			case <-ctx.Done():
			case <-time.After(askAgainAfter):
			}
		}
	}
	return nil
}

// eventPrinter prints events, one per line.
type eventPrinter struct {
	w             io.Writer
	json, colours bool
}

func (e eventPrinter) print(events []eventlog.Event) error {
	for _, event := range events {
		var err error
		if e.json {
			line := json.NewEncoder(e.w)
			line.SetEscapeHTML(false)
			err = line.Encode(event)
		} else {
			_, err = fmt.Fprintln(e.w, table.EventLine(event, e.colours))
		}
		if err != nil {
			return err
		}
	}
	return nil
}
