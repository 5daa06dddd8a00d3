package worker

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// next returns the next Flow.
func next(t *testing.T, f *Follower) Flow {
	t.Helper()
	select {
	case flow := <-f.Flows():
		return flow
	case <-time.After(patience):
		t.Fatal("no sessions came")
	}
	return Flow{}
}

// follow follows a running worker.
func (h *host) follow() *Follower {
	h.t.Helper()
	f, err := h.Follow()
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

// TestFollow follows sessions on their way out of one host and into another one.
func TestFollow(t *testing.T) {
	bed := newTestbed(t, 2)
	hostA := bed.host(0).start()
	hostB := bed.host(1).start()
	out, in, second := hostA.follow(), hostB.follow(), hostB.follow()
	want := entries(t, jool4115, 1, 5)
	hostA.instance.Multicast(want)
	for _, c := range []struct {
		f         *Follower
		direction Direction
	}{{out, Out}, {in, In}, {second, In}} {
		flow := next(t, c.f)
		if flow.Direction != c.direction || flow.Time.IsZero() {
			t.Errorf("%s at %v, want %s", flow.Direction, flow.Time, c.direction)
		}
		if diff := cmp.Diff(want, flow.Entries); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.direction, diff)
		}
		if s, err := session.Packed40.Decode(flow.Entries[:session.Packed40.EntryLen()], flow.Pool6); err != nil || s.Dst4.Port() != 53 {
			t.Errorf("%v, %v", s, err)
		}
	}
}

// TestSlowFollower reads one of two followers, and later the other one: only the other one misses sessions, and it learns how many.
func TestSlowFollower(t *testing.T) {
	bed := newTestbed(t, 2)
	hostA := bed.host(0).start()
	hostB := bed.host(1).start()
	in, slow := hostB.follow(), hostB.follow()
	for i := range followerRoom + 3 {
		hostA.instance.Multicast(entries(t, jool4115, i%200, 2))
		next(t, in)
	}
	if n := slow.Dropped(); n != 6 {
		t.Errorf("%d sessions were dropped, want 6", n)
	}
	if n := in.Dropped(); n != 0 {
		t.Errorf("%d sessions of a fast reader were dropped", n)
	}
	if flow := next(t, slow); flow.Dropped != 0 {
		t.Errorf("%d sessions were dropped before those that waited", flow.Dropped)
	}
	in.Close()
	in.Close()
	hostA.instance.Multicast(entries(t, jool4115, 1, 1))
	eventually(t, "the slow follower gets what was dropped with the next sessions", func() bool { return slow.Dropped() == 0 })
	for range followerRoom - 1 {
		next(t, slow)
	}
	if flow := next(t, slow); flow.Dropped != 6 {
		t.Errorf("%d sessions were dropped before the last ones, want 6", flow.Dropped)
	}
	if len(in.Flows()) > 0 {
		t.Error("a closed follower gets sessions")
	}
}

// TestFollowedWorkerEnds follows a worker before its start, until its end, and afterwards.
func TestFollowedWorkerEnds(t *testing.T) {
	h := newTestbed(t, 2).host(0)
	if _, err := h.Follow(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	h.start().follow().Close()
	if h.followers.Load() != nil {
		t.Error("a worker without followers has a list of them")
	}
	f := h.follow()
	h.stop()
	select {
	case <-f.Ended():
	case <-time.After(patience):
		t.Error("the follower does not learn that the worker has ended")
	}
	f.Close()
	if _, err := h.Follow(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
}

// TestFollowFullSync follows the sessions of a peer's table.
func TestFollowFullSync(t *testing.T) {
	bed := newTestbed(t, 2)
	a := bed.standby(0, sessionsAt(0, 50)...)
	b := bed.standby(1)
	gate := b.gate()
	gate.Lock()
	a.start()
	b.start()
	f := b.follow()
	gate.Unlock()
	for got := 0; got < 50; {
		flow := next(t, f)
		if flow.Direction != FullSync {
			t.Errorf("%s, want %s", flow.Direction, FullSync)
		}
		got += session.Packed40.CountList(flow.Entries)
	}
	f.Close()
}
