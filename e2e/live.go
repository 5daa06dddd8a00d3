package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

// LiveCrash is the row that needs two machines.
const LiveCrash = "crash"

// LiveOptions selects measurements.
type LiveOptions struct {
	Jool     string
	Rows     []string // from guest.LiveRows, or LiveCrash
	Variants []string // from guest.LiveVariants
	Traffic  []string // of the row latency, from guest.LiveTraffics; empty means all
	Rounds   int      // per variant
	Crashes  int      // per rate
	Short    bool
	Args     []string // further arguments of the test binary
	Stdout   io.Writer
}

// RunLive measures in real time. The row LiveCrash uses two machines joined by cables, the other rows use one machine.
func (p Programs) RunLive(ctx context.Context, l *lab.Lab, o LiveOptions) (live guest.Live, err error) {
	crash := slices.Contains(o.Rows, LiveCrash)
	if rows := slices.DeleteFunc(slices.Clone(o.Rows), func(row string) bool { return row == LiveCrash }); len(rows) > 0 {
		g, err := o.guest(l, "live", "TestLive", "-live.rows="+strings.Join(rows, ","))
		if err != nil {
			return live, err
		}
		files, err := p.Run(ctx, l, g)
		if err != nil {
			return live, err
		}
		if err := json.Unmarshal(files["live.json"], &live); err != nil {
			return live, fmt.Errorf("the machine's measurements: %w", err)
		}
	}
	if crash {
		live.Crashes, err = p.runCrashes(ctx, l, o)
	}
	return live, err
}

func (p Programs) runCrashes(ctx context.Context, l *lab.Lab, o LiveOptions) ([]guest.LiveCrash, error) {
	var guests [2]Guest
	for i, role := range []struct{ purpose, test string }{{"live active", "TestLiveActive"}, {"live standby", "TestLiveStandby"}} {
		var err error
		if guests[i], err = o.guest(l, role.purpose, role.test); err != nil {
			return nil, err
		}
	}
	left, err := p.runJoined(ctx, l, guests, guest.LiveCables)
	if err != nil {
		return nil, err
	}
	var live guest.Live
	if err := json.Unmarshal(left[1]["live.json"], &live); err != nil {
		return nil, fmt.Errorf("the standby's measurements: %w", err)
	}
	return live.Crashes, nil
}

func (o LiveOptions) guest(l *lab.Lab, purpose, test string, args ...string) (Guest, error) {
	g, err := GuestFor(l, purpose, o.Jool, o.Short)
	g.Args = slices.Concat(g.Args, []string{
		"-test.run=^" + test + "$", "-live.variants=" + strings.Join(o.Variants, ";"), "-live.traffic=" + strings.Join(o.Traffic, ","),
		fmt.Sprintf("-live.rounds=%d", o.Rounds), fmt.Sprintf("-live.crashes=%d", o.Crashes),
	}, args, o.Args)
	g.Stdout = o.Stdout
	return g, err
}
