package guest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
)

// TestTuneSS changes the settings of a real instance: at the start, after the instance was recreated, and at a start
// after `jool file handle` has reset them. An operator's own value stays.
func TestTuneSS(t *testing.T) {
	enter(t, "test")
	t.Parallel()
	top := newTopology(t)
	p, _ := top.pairs(group6)
	p.tuneSS = true
	top.j.exec(t, "jool", "-i", "nat", "global", "update", "ss-capacity", "1024")
	w := startWorker(t, supervised, top.j, p)

	tuned := func(what string, limit time.Duration, capacity uint32) {
		t.Helper()
		eventually(t, limit, what, func() string {
			if g := top.j.globals(t); g.SSFlushDeadline != 4*time.Millisecond || g.SSCapacity != capacity {
				return fmt.Sprintf("deadline %v and capacity %d, want 4ms and %d", g.SSFlushDeadline, g.SSCapacity, capacity)
			}
			return ""
		})
	}
	tuned("the operator's capacity stays", listensWithin, 1024)
	const exposed = "exposure: the module reports a new session "
	if out, _ := w.command(t, "status", "-o", "wide"); !strings.Contains(out, exposed) || strings.Contains(out, "ss-flush-deadline 4") {
		t.Errorf("status shows an exposure that can be less:\n%s", out)
	}

	tunedCapacity := uint32(512)
	if module(t).ChecksCapacity() {
		tunedCapacity = 16384 // older modules don't look at it
	}
	top.j.exec(t, "jool", "instance", "remove", "nat")
	// A worker that does not notice the gap takes the new instance for the old one, and waits a minute.
	eventually(t, syncedWithin, "the worker misses the instance", func() string {
		if out, _ := w.command(t, "status"); !strings.Contains(out, `instance "nat" does not exist`) {
			return out
		}
		return ""
	})
	addInstance(t, top.j, instance{name: "nat", framework: "netfilter", pool6: pool6})
	tuned("the instance was recreated", syncedWithin, tunedCapacity)

	addInstance(t, top.j, instance{name: "nat", framework: "netfilter", pool6: pool6}) // `jool file handle` once more
	if g := top.j.globals(t); g.SSFlushDeadline != 2*time.Second {
		t.Errorf("jool file handle left a deadline of %v", g.SSFlushDeadline)
	}
	w.stop(t) // a worker that runs on changes them again after a minute
	w = startWorker(t, supervised, top.j, p)
	tuned("the settings were reset", listensWithin, tunedCapacity)

	top.j.onInstance(t, "nat", func(c *joolnl.Conn) error {
		return c.AskUpdate(joolnl.Change{Setting: joolnl.SSFlushDeadline, Value: 500})
	})
	eventually(t, listensWithin, "status names the command that makes the exposure less", func() string {
		out, _ := w.command(t, "status", "-o", "wide")
		if !strings.Contains(out, "jool -i nat global update ss-flush-deadline 4") && !module(t).FlushesASAP() {
			return out
		}
		return ""
	})
	if g := top.j.globals(t); g.SSFlushDeadline != 500*time.Millisecond {
		t.Errorf("the operator's deadline is %v now", g.SSFlushDeadline)
	}
}
