package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/top"
	"joolctl/internal/terminal"
	"joolctl/supervisor"
)

// shortestInterval is the shortest time between two requests of top: for each one, the supervisor asks each module for
// its counters.
const shortestInterval = 200 * time.Millisecond

func newTop(p *program) *cobra.Command {
	var interval time.Duration
	var order *string
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Show every worker on a screen: state, completeness, lag, rates and their history, losses",
		Long: `Show every worker on the screen of a terminal, and what is wrong with the selected
one below. The columns are those of "joolctl status". The bars beside IN/s and
OUT/s are the rates of the last four minutes, or since top has started, each pair
to its own scale.

Cursor keys select a pair, and enter shows its details: peers, sessions stage by
stage, the last full sync, reasons and what to do, and its latest events. The keys n, v, r, l and s sort by
name, severity, rates, lag and sessions. The key ? shows all keys, and q quits.

If the supervisor stops, the screen says since when, and goes on once the
supervisor answers again.

There are no colours if the environment has NO_COLOR. If the output is not a
terminal, or the environment has TERM=dumb, top prints a table at each interval.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sorted, err := orderOf(*order)
			if err != nil {
				return err
			}
			if interval < shortestInterval {
				return fmt.Errorf("--interval %v is too short; write %v or more", interval, shortestInterval)
			}
			err = p.top(cmd.Context(), top.Options{
				Ask: func(ctx context.Context) (supervisor.Status, error) { return p.client().Status(ctx, nil) },
				Events: func(ctx context.Context, after uint64) (supervisor.EventList, error) {
					return p.client().Events(ctx, nil, supervisor.EventsOptions{After: after})
				},
				Explain: explain, Order: sorted, Interval: interval, Colours: coloured(p.stdout), ASCII: os.Getenv("TERM") == "linux",
			})
			if err != nil {
				return failed{err}
			}
			return nil
		},
	}
	order = newSort(cmd, "severity")
	cmd.Flags().DurationVar(&interval, "interval", 2*time.Second, "time between two questions to the supervisor")
	return cmd
}

// top shows a screen if the terminal can move its cursor, otherwise lines.
func (p *program) top(ctx context.Context, o top.Options) error {
	file, is := p.stdout.(*os.File)
	if term := os.Getenv("TERM"); is && terminal.Is(file) && term != "" && term != "dumb" {
		return top.Run(ctx, o, file)
	}
	return top.Lines(ctx, o, p.stdout)
}
