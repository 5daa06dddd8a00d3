package replication

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/syncwire"
)

// TestHelloSaysSecurity has the host's mode and keys change: a HELLO names the new ones at once, and another one soon.
func TestHelloSaysSecurity(t *testing.T) {
	e := newHost()
	first, second := syncwire.NewSecurity(syncwire.SecurityAccept, 1), syncwire.NewSecurity(syncwire.SecuritySend, 2, 1)
	e.host.SetSecurity(first, e.now)
	e.host.Tick(e.now)
	for _, s := range []syncwire.Security{first, second, second} {
		e.messages = nil
		before := e.host.Security()
		e.host.SetSecurity(s, e.now)
		hellos := sentOf[*syncwire.Hello](e)
		want := 0
		if s != before {
			want = 1
		}
		if len(hellos) != want {
			t.Fatalf("%v after %v: %d HELLOs at once, want %d", s, before, len(hellos), want)
		}
		e.now = e.now.Add(HelloBack / 10)
		e.host.Tick(e.now)
		hellos = sentOf[*syncwire.Hello](e)
		if len(hellos) != 2*want {
			t.Errorf("%v after %v: %d HELLOs soon, want %d", s, before, len(hellos), 2*want)
		}
		for _, h := range hellos {
			if h.Security != s {
				t.Errorf("HELLO says %v, want %v", h.Security, s)
			}
		}
	}
}

// TestPeerSecurity has HELLOs of a peer change its mode and its keys.
func TestPeerSecurity(t *testing.T) {
	accept, send := syncwire.NewSecurity(syncwire.SecurityAccept, 1), syncwire.NewSecurity(syncwire.SecuritySend, 1)
	e := newHost()
	type info struct {
		Is        syncwire.Security
		Authentic bool
		For       time.Duration
		Events    []PeerSecured
	}
	for i, step := range []struct {
		says     syncwire.Security
		sealed   bool
		outdated bool
		want     info
	}{
		{syncwire.Security{}, false, false, info{}}, // an older joolctl, which is replaced
		{accept, false, false, info{Is: accept}},
		{accept, false, false, info{Is: accept, For: time.Second}},
		{send, true, false, info{Is: send, Authentic: true, Events: []PeerSecured{{peerAddress, accept, send}}}},
		{accept, true, true, info{Is: send, Authentic: true, For: time.Second}},
		{send, false, false, info{Is: send, For: 2 * time.Second}},
	} {
		e.events, e.host.Sealed = nil, step.sealed
		generation := uint32(2)
		if step.outdated {
			generation = 1
		}
		e.says(0, &syncwire.Hello{NextIn: 10, Generation: generation, Security: step.says})
		p := e.host.Peers.AppendInfo(nil)[0]
		got := info{p.Security, p.Authentic, 0, emitted[PeerSecured](e)}
		if !p.SecuritySince.IsZero() {
			got.For = e.now.Sub(p.SecuritySince)
		}
		if d := cmp.Diff(step.want, got, cmp.Comparer(func(a, b syncwire.Security) bool { return a == b }), cmp.Comparer(func(a, b PeerSecured) bool { return a == b })); d != "" {
			t.Errorf("step %d (-want +got):\n%s", i, d)
		}
		e.now = e.now.Add(time.Second)
	}
}
