package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/internal/terminal"
	"joolctl/supervisor"
)

const (
	// readyPatience limits the time of one request, because keepalived waits for the answer.
	readyPatience = 200 * time.Millisecond
	// readyPeriod is how often --wait asks.
	readyPeriod = 200 * time.Millisecond
)

func newReady(p *program) *cobra.Command {
	var all bool
	var out *output
	var wait time.Duration
	var o supervisor.ReadyOptions
	vrrp := ""
	cmd := &cobra.Command{
		Use:   "ready NAME...|--all",
		Short: "Show whether it is safe to fail over to this host now",
		Long: `Show whether it is safe to fail over to this host now: "NAME: yes", or every
reason why not, one to a line. Exits with 0 if all are ready, 1 if not, 3 if no
supervisor answers. It answers within 200 ms, as keepalived's track_script needs
it, whatever the kernel and the peers are doing.

A host is ready when its worker runs and its table has all sessions of its
peers' tables. It is alone, and not ready, soon after its last peer died.

A warning does not make a host not ready. With "tune ss" there is one while a
peer's table is more than a second behind this host's sessions: failing over to
that peer would lose them. --max-lag makes it a reason: ask that of the host
that serves, before it is stopped.

--patience and --open-after make it ready all the same after some time. Both
count from the moment when the oldest of the present reasons began, whatever the
reasons are, not from joolctl's start. A worker that starts again, a recreated
instance, and a link that goes down or comes back start the count again. For
--patience, a peer whose table is complete also does, whenever it is heard: that
peer can serve. A worker that does not run, and a module that does not answer,
are never ready.

With --vrrp, a host that serves for that VRRP instance, by what "joolctl notify"
has recorded, is not asked: it must not step down because a peer is incomplete.`,
		Example: `  joolctl ready --all --patience 5m --vrrp nat64        # VRRP: the other host serves meanwhile
  joolctl ready --all --patience 1m --open-after 10m    # BGP: otherwise no host might serve
  joolctl ready blue --wait 1m && systemctl start keepalived
  joolctl ready blue --max-lag 1s --wait 1m             # then the peer can take over`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if wait < 0 || o.Patience < 0 || o.OpenAfter < 0 || o.MaxLag < 0 {
				return errors.New("a duration can't be negative")
			}
			if vrrp != "" {
				serves, err := p.vrrp.serves(vrrp)
				if err != nil {
					return failed{err}
				}
				if serves {
					return p.printServes(vrrp, out)
				}
			}
			ask := func(ctx context.Context) (supervisor.Ready, error) { return p.client().Ready(ctx, args, all, o) }
			ready, err := p.askReady(cmd.Context(), ask, wait)
			if err != nil {
				return failed{err}
			}
			return p.printReady(ready, out)
		},
	}
	cmd.Flags().BoolVar(&o.AllowAlone, "allow-alone", false, "report a host as ready that hears no peer, too")
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this time until it is ready")
	cmd.Flags().DurationVar(&o.Patience, "patience", 0,
		"ready after so long without being ready, if no complete peer was heard meanwhile (at least 25s)")
	cmd.Flags().DurationVar(&o.OpenAfter, "open-after", 0,
		"ready after so long without being ready, whatever peers say, as long as the worker runs")
	cmd.Flags().DurationVar(&o.MaxLag, "max-lag", 0,
		"not ready while a peer's table is further behind this host's sessions: ask this of the host that serves")
	cmd.Flags().StringVar(&vrrp, "vrrp", "", "ready at once while this host serves for this VRRP instance")
	out = newOutput(cmd, "text", "json")
	return namesOrAll(cmd, p, &all)
}

// printServes prints that this host is the VRRP master, and that its pairs were therefore not asked.
func (p *program) printServes(vrrp string, out *output) error {
	if out.json() {
		return writeJSON(p.stdout, supervisor.Ready{Ready: true, Pairs: []supervisor.PairReady{}})
	}
	fmt.Fprintf(p.stdout, "%s: this host serves\n", table.Cell(vrrp))
	return nil
}

// askReady asks the supervisor once, or until all pairs are ready or the time limit has passed. With a time limit, it
// also waits for a supervisor to start, and shows on a terminal why it waits.
func (p *program) askReady(ctx context.Context, ask func(context.Context) (supervisor.Ready, error), wait time.Duration) (supervisor.Ready, error) {
	late := time.After(wait)
	line := terminal.NewLine(p.stderr, time.Now())
	defer line.Clear()
	for {
		once, cancel := context.WithTimeout(ctx, readyPatience)
		ready, err := ask(once)
		cancel()
		var none *supervisor.NoSupervisor
		if wait == 0 || err == nil && ready.Ready || err != nil && !errors.As(err, &none) {
			return ready, err
		}
		line.Show(waitsFor(ready, err), time.Now())
		select {
		case <-ctx.Done():
			return ready, err
		case <-late:
			return ready, err
		case <-time.After(readyPeriod):
		}
	}
}

// waitsFor returns one line about why the pairs are not ready.
func waitsFor(ready supervisor.Ready, err error) string {
	if err != nil {
		return table.Cell(err.Error())
	}
	first, others := "a pair", -1
	for _, pair := range ready.Pairs {
		if pair.Ready {
			continue
		}
		if others++; others == 0 && len(pair.Reasons) > 0 {
			first = table.Cell(pair.Name) + ": " + table.Cell(pair.Reasons[0].Text)
		}
	}
	if others > 0 {
		first += fmt.Sprintf("; and %s", table.Count(others, "more pair", "more pairs"))
	}
	return "waiting for " + first
}

// printReady prints the answer.
func (p *program) printReady(ready supervisor.Ready, out *output) error {
	if out.json() {
		if err := writeJSON(p.stdout, ready); err != nil {
			return failed{err}
		}
	} else {
		ready.WriteLines(p.stdout, time.Now())
	}
	switch {
	case ready.Ready:
		return nil
	case len(ready.Pairs) == 0:
		return failed{errors.New("the directory has no pairs")}
	}
	return errNotWell
}
