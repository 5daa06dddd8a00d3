package worker

import (
	"testing"
	"time"

	"joolctl/joolnl"
)

func TestAckClockFor(t *testing.T) {
	const jool4111 joolnl.Version = 0x04010b00
	for name, c := range map[string]struct {
		version  joolnl.Version
		asap     bool
		deadline time.Duration
		sessions uint32
		jiffy    time.Duration
		want     ackClock
	}{
		"tuned, 250 Hz":                  {jool4115, true, 4 * time.Millisecond, 36, 4 * time.Millisecond, ackClock{36, 8 * time.Millisecond}},
		"tuned, 1000 Hz":                 {jool4115, false, 4 * time.Millisecond, 36, time.Millisecond, ackClock{36, 5 * time.Millisecond}},
		"tuned, 100 Hz":                  {jool4115, false, 4 * time.Millisecond, 36, 10 * time.Millisecond, ackClock{36, 20 * time.Millisecond}},
		"no deadline":                    {jool4115, false, 0, 36, 4 * time.Millisecond, ackClock{36, 4 * time.Millisecond}},
		"defaults":                       {jool4115, true, 2 * time.Second, 36, 4 * time.Millisecond, ackClock{36, 2004 * time.Millisecond}},
		"each ACK flushes":               {jool4111, true, 2 * time.Second, 10, 4 * time.Millisecond, ackClock{}},
		"ss-flush-asap off":              {jool4111, false, 2 * time.Second, 10, 4 * time.Millisecond, ackClock{10, 2004 * time.Millisecond}},
		"off, and no setting for packet": {jool419, false, 2 * time.Second, 0, 4 * time.Millisecond, ackClock{0, 2004 * time.Millisecond}},
	} {
		t.Run(name, func(t *testing.T) {
			g := joolnl.Globals{SSFlushASAP: c.asap, SSFlushDeadline: c.deadline, SSMaxSessions: c.sessions}
			if got := ackClockFor(c.version, g, c.jiffy); got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

func TestAcks(t *testing.T) {
	const long = time.Millisecond
	for name, c := range map[string]struct {
		full, reports, last int
		waited              time.Duration
		want                int
	}{
		"one that is not full":       {36, 1, 35, 0, 1},
		"a full one that was queued": {36, 1, 36, 0, 2},
		"a full one, just complete":  {36, 1, 36, long, 1},
		"three, the last full":       {36, 3, 36, long, 6},
		"many":                       {36, 8, 36, 0, joolnl.MaxAcks},
		"many, the last is not full": {36, 8, 5, 0, 8},
		"larger than the setting":    {10, 1, 41, 0, 2},
		"full size not known":        {0, 4, 36, 0, 4},
	} {
		if got := (ackClock{full: c.full}).acks(c.reports, c.last, c.waited); got != c.want {
			t.Errorf("%s: %d ACKs, want %d", name, got, c.want)
		}
	}
}

// TestKernelJiffy checks that the jiffy is plausible: Linux can be built with 100, 250, 300 or 1000 a second.
func TestKernelJiffy(t *testing.T) {
	if j := kernelJiffy(); j < 900*time.Microsecond || j > 10*time.Millisecond {
		t.Errorf("a jiffy is %v", j)
	}
}
