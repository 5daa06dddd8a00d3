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
	tuned := tunedCapacity(t)

	const operatorsCapacity = 1024
	top.j.exec(t, "jool", "-i", "nat", "global", "update", "ss-capacity", fmt.Sprint(operatorsCapacity))
	w := startWorker(t, supervised, top.j, p)
	top.j.awaitTuned(t, "the operator's capacity stays", listensWithin, operatorsCapacity)
	const exposed = "exposure: the module reports a new session "
	if out, _ := w.command(t, "status", "-o", "wide"); !strings.Contains(out, exposed) || strings.Contains(out, "ss-flush-deadline 4") {
		t.Errorf("status must show the exposure, and no command that makes it less:\n%s", out)
	}

	w.recreateInstance(t)
	top.j.awaitTuned(t, "the instance was recreated", syncedWithin, tuned)

	top.j.handleFile(t)
	w.stop(t) // a worker that runs on changes them again after a minute
	w = startWorker(t, supervised, top.j, p)
	top.j.awaitTuned(t, "the settings were reset", listensWithin, tuned)

	const operatorsDeadline = 500 * time.Millisecond
	top.j.onInstance(t, "nat", func(c *joolnl.Conn) error {
		return c.AskUpdate(joolnl.Change{Setting: joolnl.SSFlushDeadline, Value: uint32(operatorsDeadline.Milliseconds())})
	})
	eventually(t, listensWithin, "status names the command that makes the exposure less", func() string {
		out, _ := w.command(t, "status", "-o", "wide")
		if !strings.Contains(out, "jool -i nat global update ss-flush-deadline 4") && !module(t).FlushesASAP() {
			return out
		}
		return ""
	})
	if g := top.j.globals(t); g.SSFlushDeadline != operatorsDeadline {
		t.Errorf("the operator's deadline is %v now", g.SSFlushDeadline)
	}
}

// tunedCapacity returns the capacity that "tune ss" gives an instance of the loaded module.
func tunedCapacity(t testing.TB) uint32 {
	t.Helper()
	if module(t).ChecksCapacity() {
		return 16384
	}
	return 512 // older modules ignore it: it stays at its default
}

// awaitTuned waits until the instance "nat" has the flush deadline of "tune ss", and the capacity.
func (n *namespace) awaitTuned(t testing.TB, what string, limit time.Duration, capacity uint32) {
	t.Helper()
	const deadline = 4 * time.Millisecond
	eventually(t, limit, what, func() string {
		if g := n.globals(t); g.SSFlushDeadline != deadline || g.SSCapacity != capacity {
			return fmt.Sprintf("deadline %v and capacity %d, want %v and %d", g.SSFlushDeadline, g.SSCapacity, deadline, capacity)
		}
		return ""
	})
}

// recreateInstance removes the instance "nat" and adds it again after the worker has noticed that it is missing. A worker
// that does not notice the gap takes the new instance for the old one, and tunes it only after a minute.
func (w worker) recreateInstance(t testing.TB) {
	t.Helper()
	w.namespace.exec(t, "jool", "instance", "remove", "nat")
	eventually(t, syncedWithin, "the worker misses the instance", func() string {
		if out, _ := w.command(t, "status"); !strings.Contains(out, `instance "nat" does not exist`) {
			return out
		}
		return ""
	})
	addInstance(t, w.namespace, natInstance)
}

// handleFile runs `jool file handle` for the instance "nat", which resets its settings.
func (n *namespace) handleFile(t testing.TB) {
	t.Helper()
	addInstance(t, n, natInstance)
	if g := n.globals(t); g.SSFlushDeadline != 2*time.Second {
		t.Errorf("jool file handle left a deadline of %v", g.SSFlushDeadline)
	}
}
