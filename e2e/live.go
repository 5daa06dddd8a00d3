package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

// LiveCrash is the row for which two machines are needed.
const LiveCrash = "crash"

// LiveOptions say what to measure.
type LiveOptions struct {
	Jool     string
	Rows     []string // of guest.LiveRows, and LiveCrash
	Variants []string // of guest.LiveVariants
	Traffic  string   // of the row latency only this one; empty for all
	Rounds   int      // of each variant
	Crashes  int      // at each rate
	Args     []string // further ones, for the test
	Stdout   io.Writer
}

// RunLive measures in real time: in one machine, and what a crash leaves in two that are joined by cables.
func (p Programs) RunLive(ctx context.Context, l *lab.Lab, o LiveOptions) (live guest.Live, err error) {
	rows := slices.DeleteFunc(slices.Clone(o.Rows), func(row string) bool { return row == LiveCrash })
	if len(rows) > 0 {
		files, err := p.Run(ctx, l, o.guest("live", "TestLive", "-live.rows="+strings.Join(rows, ",")))
		if err != nil {
			return live, err
		}
		if err := json.Unmarshal(files["live.json"], &live); err != nil {
			return live, fmt.Errorf("the machine's measurements: %w", err)
		}
	}
	if len(rows) < len(o.Rows) {
		left, err := p.runJoined(ctx, l, [2]Guest{o.guest("crash active", "TestCrashActive"), o.guest("crash standby", "TestCrashStandby")}, guest.LiveCables)
		if err != nil {
			return live, err
		}
		var crashes guest.Live
		if err := json.Unmarshal(left[1]["live.json"], &crashes); err != nil {
			return live, fmt.Errorf("the standby's measurements: %w", err)
		}
		live.Settings, live.Crashes = crashes.Settings, crashes.Crashes
	}
	return live, nil
}

func (o LiveOptions) guest(purpose, test string, args ...string) Guest {
	return Guest{
		Jool:    o.Jool,
		Purpose: purpose,
		Args: slices.Concat([]string{
			"-test.run=^" + test + "$", "-live.variants=" + strings.Join(o.Variants, ";"), "-live.traffic=" + o.Traffic,
			fmt.Sprintf("-live.rounds=%d", o.Rounds), fmt.Sprintf("-live.crashes=%d", o.Crashes),
		}, args, o.Args),
		Timeout: 50 * time.Minute,
		Stdout:  o.Stdout,
	}
}
