package main

import (
	"log/slog"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/supervisor"
)

// loop is a fake worker with only those methods that the watchdog uses.
type loop struct {
	supervisor.Worker
	turns  uint64
	kernel bool
}

func (l *loop) Turns() uint64  { return l.turns }
func (l *loop) InKernel() bool { return l.kernel }

func TestWatchdog(t *testing.T) {
	w := newWatchdog(30*time.Second, slog.New(slog.DiscardHandler))
	l := new(loop)
	want := func(what string, want bool) {
		t.Helper()
		if got := w.alive(time.Minute); got != want {
			t.Errorf("%s: the watchdog is notified: %v, want %v", what, got, want)
		}
	}
	want("no worker runs", true)
	want("nor a minute later", true)
	w.watch(l)
	want("the worker has just begun", true)
	l.turns++
	want("its loop goes round", true)
	want("its loop is stuck", false)
	l.kernel = true
	want("it is the kernel that holds the loop", true)
	l.kernel = false
	want("no longer", false)
	l.turns++
	want("its loop goes round again", true)
	want("its loop is stuck again", false)
	w.watch(nil)
	want("the worker has ended", true)
	w.watch(new(loop))
	want("another one has begun", true)
}

func TestEntersNamespaces(t *testing.T) {
	for _, test := range []struct {
		instance, network string
		want              bool
	}{
		{"", "", false},
		{"", configdir.OwnNamespace, false},
		{"blue", configdir.OwnNamespace, true},
		{"", "blue", true},
		{"/run/netns/blue", "/run/netns/blue", true},
	} {
		spec := configdir.Spec{Namespace: test.instance, NetNamespace: test.network}
		if got := entersNamespaces(spec); got != test.want {
			t.Errorf("instance in %q, network socket in %q: %v, want %v", test.instance, test.network, got, test.want)
		}
	}
}
