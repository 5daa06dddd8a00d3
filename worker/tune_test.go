package worker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/worker/workertest"
)

func TestTuning(t *testing.T) {
	deadline, capacity := joolnl.Change{Setting: joolnl.SSFlushDeadline, Value: tunedDeadline}, joolnl.Change{Setting: joolnl.SSCapacity, Value: tunedCapacity}
	for name, c := range map[string]struct {
		version  joolnl.Version
		deadline time.Duration
		capacity uint32
		want     []joolnl.Change
	}{
		"defaults":                {jool4115, 2 * time.Second, 512, []joolnl.Change{deadline, capacity}},
		"operator's deadline":     {jool4115, time.Second, 512, []joolnl.Change{capacity}},
		"operator's capacity":     {jool4115, 2 * time.Second, 4096, []joolnl.Change{deadline}},
		"tuned already":           {jool4115, tunedDeadline * time.Millisecond, tunedCapacity, nil},
		"module ignores capacity": {jool419, 2 * time.Second, 512, []joolnl.Change{deadline}},
	} {
		g := joolnl.Globals{SSFlushDeadline: c.deadline, SSCapacity: c.capacity}
		if diff := cmp.Diff(c.want, tuning(c.version, g)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// settings returns an instance's ss-flush-deadline and ss-capacity.
func settings(i *workertest.Instance) (deadline, capacity uint32) {
	i.Set(func(i *workertest.Instance) { deadline, capacity = i.Settings[29], i.Settings[30] })
	return deadline, capacity
}

// TestTuneSS runs a worker with "tune ss". It changes default settings at its start, and again after they were reset, but at most
// once a minute. It logs one line for each setting.
func TestTuneSS(t *testing.T) {
	h := newTestbed(t, 2).host(0)
	h.current.TuneSS = true
	h.start()
	want := func(what string, deadline, capacity uint32, lines int) {
		t.Helper()
		if d, c := settings(h.instance); d != deadline || c != capacity {
			t.Errorf("%s: deadline %d and capacity %d, want %d and %d", what, d, c, deadline, capacity)
		}
		if n := h.log.count("changed a setting"); n != lines {
			t.Errorf("%s: %d lines say that a setting was changed, want %d", what, n, lines)
		}
	}
	want("at the start", tunedDeadline, tunedCapacity, 2)
	if e := h.Sync().Exposure; e.AtMost > wellTuned || e.Remedy != "" || e.Refused != "" {
		t.Errorf("tuned: %+v", e)
	}

	again := func(after time.Duration) {
		t.Helper()
		h.instance.Set(func(i *workertest.Instance) { delete(i.Settings, 29); i.Settings[30] = 4096 })
		h.onThread(func(p *pumps) {
			g, err := p.conn.AskGlobals()
			if err != nil {
				t.Error(err)
			}
			p.takeGlobals(g, p.tuned.Add(after))
		})
	}
	again(tuneEvery - time.Second)
	want("reset within a minute", 0, 4096, 2)
	again(tuneEvery)
	want("reset after a minute, with a capacity that the operator wants", tunedDeadline, 4096, 3)
}

// TestTuneSSLater adds "tune ss" to the spec of a running worker: the worker changes the settings at once.
func TestTuneSSLater(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0).start()
	if e := h.Sync().Exposure; e.AtMost < 2*time.Second || !strings.Contains(e.Remedy, `"tune ss": true`) ||
		!strings.Contains(e.Remedy, "ip netns exec "+bed.ns[0]+" jool -i nat global update ss-flush-deadline 4") {
		t.Errorf("not tuned: %+v", e)
	}
	h.reconfigure(func(s *configdir.Spec) { s.TuneSS = true })
	eventually(t, "the settings are changed", func() bool { return h.Sync().Exposure.AtMost <= wellTuned })
	if d, c := settings(h.instance); d != tunedDeadline || c != tunedCapacity {
		t.Errorf("deadline %d and capacity %d", d, c)
	}
}

// TestTuneSSRefused makes the module refuse the settings of "tune ss". The worker continues, and shows the module's reason.
func TestTuneSSRefused(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0)
	h.current.TuneSS = true
	h.instance.Refuse = refusing(joolnl.GlobalUpdate, &joolnl.Error{Code: unix.EINVAL, Text: "a BIB entry lies outside pool4"})
	h.start()
	if e := h.Sync().Exposure; !strings.Contains(e.Refused, "outside pool4") || !strings.Contains(e.Remedy, "remove the sessions outside pool4") {
		t.Errorf("refused: %+v", e)
	}
	cross(t, jool4115, h, bed.host(1).start())
}

func TestExposureOf(t *testing.T) {
	const command = "jool -i nat global update ss-flush-deadline 4"
	for name, c := range map[string]struct {
		tune  bool
		after time.Duration
		want  Exposure
	}{
		"each ACK flushes": {want: Exposure{}},
		"tuned":            {tune: true, after: 8 * time.Millisecond, want: Exposure{AtMost: 8 * time.Millisecond}},
		"defaults": {after: 2004 * time.Millisecond,
			want: Exposure{AtMost: 2004 * time.Millisecond, Remedy: `write "tune ss": true in modsocket.json, or type: ` + command}},
		"the operator's own": {tune: true, after: 504 * time.Millisecond, want: Exposure{AtMost: 504 * time.Millisecond, Remedy: "type: " + command}},
	} {
		spec := configdir.Spec{Instance: "nat", TuneSS: c.tune}
		if diff := cmp.Diff(c.want, exposureOf(spec, ackClock{flushAfter: c.after}, "")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestTrailingAck reports a session. After the module's deadline has passed, the worker sends one trailing ACK, and no further one.
func TestTrailingAck(t *testing.T) {
	h := newTestbed(t, 2).host(0)
	h.current.TuneSS = true
	h.start()
	h.instance.Wait(t, joolnl.JooldAck, 1) // sent at the start
	begin := time.Now()
	h.instance.Multicast(entries(t, jool4115, 1, 1))
	h.instance.Wait(t, joolnl.JooldAck, 3)
	if took := time.Since(begin); took < tunedDeadline*time.Millisecond {
		t.Errorf("the trailing ACK came after %v, which is before the deadline", took)
	}
	h.onThread(func(p *pumps) {
		if p.trailing.(*nsthread.Timer).IsSet() {
			t.Error("another ACK would follow")
		}
	})
}
