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

// TestFollow follows sessions on their way out of one host and into another one.
func TestFollow(t *testing.T) {
	bed := newTestbed(t, 2)
	hostA := bed.host(0)
	if _, err := hostA.Follow(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before the start: %v", err)
	}
	hostA.start()
	hostB := bed.host(1).start()
	out, err := hostA.Follow()
	if err != nil {
		t.Fatal(err)
	}
	in, err := hostB.Follow()
	if err != nil {
		t.Fatal(err)
	}
	second, err := hostB.Follow()
	if err != nil {
		t.Fatal(err)
	}
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

	// Nobody reads second any more.
	for i := range followerRoom + 3 {
		hostA.instance.Multicast(entries(t, jool4115, i%200, 2))
		next(t, in)
	}
	if n := second.Dropped(); n != 6 {
		t.Errorf("%d sessions were dropped, want 6", n)
	}
	if n := in.Dropped(); n != 0 {
		t.Errorf("%d sessions of a fast reader were dropped", n)
	}
	if flow := next(t, second); flow.Dropped != 0 {
		t.Errorf("%d sessions were dropped before those that waited", flow.Dropped)
	}

	in.Close()
	in.Close()
	hostA.instance.Multicast(entries(t, jool4115, 1, 1))
	eventually(t, "the second follower gets what was dropped with the next sessions", func() bool { return second.Dropped() == 0 })
	for range followerRoom - 1 {
		next(t, second)
	}
	if flow := next(t, second); flow.Dropped != 6 {
		t.Errorf("%d sessions were dropped before the last ones, want 6", flow.Dropped)
	}
	if len(in.Flows()) > 0 {
		t.Error("a closed follower gets sessions")
	}
	hostB.stop()
	select {
	case <-second.Ended():
	case <-time.After(patience):
		t.Error("the follower does not learn that the worker has ended")
	}
	second.Close()
	if _, err := hostB.Follow(); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the end: %v", err)
	}
	out.Close()
	if hostA.followers.Load() != nil {
		t.Error("a worker without followers has a list of them")
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
	f, err := b.Follow()
	if err != nil {
		t.Fatal(err)
	}
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
