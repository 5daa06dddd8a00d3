package guest

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// The groups of connections of a host that is cut off: of every four sources of n6's, one is used all the time, one was
// last used through the host that is cut off, one gets another mask, and the mask of one goes to another host.
const (
	staleSources, stalePorts = 40, 10
	staleFirst               = 10000
	staleOfAKind             = staleSources / 4 * stalePorts
	staleTimeout             = time.Hour
)

// stale cuts a host off for ten minutes of changes, and reconnects it: first the standby, then an active host that the
// standby has replaced.
func (b *standbyBench) stale(minutes int) {
	for _, way := range []struct {
		what     string
		failOver bool
	}{
		{"the standby is cut off", false},
		{"the active side is cut off, the standby takes its place", true},
	} {
		run := func(kind daemon) measurement {
			return func(t *testing.T, top *topology) string {
				s := top.startStale(t, kind, way.failOver)
				for minute := range minutes {
					s.change(t, minute, minutes)
				}
				return s.rejoin(t)
			}
		}
		measureUpstream := run(upstream)
		if b.lossy {
			measureUpstream = nil // its module has no advertise
		}
		b.row(fmt.Sprintf("%s for %d minutes of changes, then rejoins; C joold: both sides advertise", way.what, minutes), measureUpstream, run(supervised))
	}
}

// stale is two sides, the stale one cut off from the other, which has the traffic.
type stale struct {
	top           *topology
	kind          daemon
	active, stale *namespace
	workers       []worker
}

// startStale opens the sessions through J, waits until K has them and cuts the sides off.
func (top *topology) startStale(t *testing.T, kind daemon, failOver bool) stale {
	t.Helper()
	for _, n := range []*namespace{top.j, top.k} {
		n.exec(t, "jool", "-i", "nat", "global", "update", "udp-timeout", fmt.Sprint(staleTimeout.Seconds()))
	}
	pairJ, pairK := top.pairs(group6)
	workers := []worker{startWorker(t, kind, top.k, pairK), startWorker(t, kind, top.j, pairJ)}
	top.sendUDP(t, portRange(staleFirst, staleSources), stalePorts, slowly())
	top.awaitSameCount(t, staleSources*stalePorts, time.Minute)
	top.lossy(t, 100)
	if !failOver {
		return stale{top, kind, top.j, top.k, workers}
	}
	top.j.ip(t, "link set e6 down\nlink set e4 down")
	top.k.ip(t, "link set e6 up\nlink set e4 up")
	return stale{top, kind, top.k, top.j, workers}
}

// change is a minute of changes, of so many.
func (s stale) change(t *testing.T, minute, of int) {
	t.Helper()
	next := time.After(time.Minute)
	masks := make(map[uint16]session.Session) // one of each source's sessions, by its port
	for _, session := range s.active.sessions(t, "nat") {
		masks[session.Src6.Port()] = session
	}
	for i := range staleSources {
		port := uint16(staleFirst + i)
		if mine := i/4%of == minute; i%4 != 0 && !mine {
			continue
		}
		switch i % 4 {
		case 0:
			s.top.sendUDP(t, portRange(port, 1), stalePorts, slowly())
		case 1:
			var used []session.Session
			for _, session := range s.stale.sessions(t, "nat") {
				if session.Src6.Port() == port {
					session.Expires = staleTimeout
					used = append(used, session)
				}
			}
			s.stale.addSessions(t, "nat", used...)
		case 2, 3:
			old := masks[port].Src4
			s.active.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskRemoveBIB(session.UDP, old) })
			if i%4 == 2 {
				s.top.sendUDP(t, portRange(port, 1), stalePorts, slowly())
				continue
			}
			s.active.addSessions(t, "nat", ofAnotherHost(old, port)...)
		}
	}
	<-next
}

// ofAnotherHost returns the sessions of a source's port for another host than n6, behind the given mask.
func ofAnotherHost(mask netip.AddrPort, port uint16) (sessions []session.Session) {
	host := netip.MustParseAddr(addr6).As16()
	host[15]++
	for i := range stalePorts {
		to := uint16(firstPort + i)
		sessions = append(sessions, session.Session{
			Proto:   session.UDP,
			Src6:    netip.AddrPortFrom(netip.AddrFrom16(host), port),
			Dst6:    dst6(to),
			Src4:    mask,
			Dst4:    netip.AddrPortFrom(netip.MustParseAddr(addr4), to),
			Expires: staleTimeout,
		})
	}
	return sessions
}

// rejoin joins the sides, and words what has become of both tables.
func (s stale) rejoin(t *testing.T) string {
	t.Helper()
	at, active, cutOff := time.Now(), s.active.sessions(t, "nat"), s.stale.sessions(t, "nat")
	newerThere := slices.DeleteFunc(slices.Clone(cutOff), func(c session.Session) bool { return (c.Src6.Port()-staleFirst)%4 != 1 })
	changed := slices.DeleteFunc(slices.Clone(active), func(a session.Session) bool { return (a.Src6.Port()-staleFirst)%4 < 2 })
	if len(active) != 4*staleOfAKind || len(newerThere) != staleOfAKind || len(changed) != 2*staleOfAKind || fresh(changed, cutOff, 0) != 0 {
		t.Fatalf("%d sessions on the active side, %d of which have changed; %d are newer on the one that is cut off", len(active), len(changed), len(newerThere))
	}
	for _, w := range s.workers {
		if !s.kind.ours() {
			break
		}
		if out, code := w.command(t, "ready", "--all"); code != exitNotWell || !strings.Contains(out, "no peer answers any more") {
			t.Errorf("%s, cut off, is ready: exit status %d\n%s", w.namespace.name, code, out)
		}
	}
	s.top.lossy(t, 0)
	var text string
	look := func() (all bool) {
		inActive, inStale, ago := s.active.sessions(t, "nat"), s.stale.sessions(t, "nat"), time.Since(at)
		kept, took, replaced := fresh(active, inActive, ago), fresh(active, inStale, ago), fresh(changed, inStale, ago)
		back, own := fresh(newerThere, inActive, ago), fresh(newerThere, inStale, ago)
		text = fmt.Sprintf("the active side has %d of its %d as fresh as before, the other one %d of them, with %d of the %d mappings that changed; of the other's %d newer ones it has %d, the active side %d",
			kept, len(active), took, replaced, len(changed), len(newerThere), own, back)
		return kept == len(active) && took == len(active) && own == len(newerThere) && back == len(newerThere)
	}
	if !s.kind.ours() {
		for _, n := range []*namespace{s.active, s.stale} {
			n.onInstance(t, "nat", func(c *joolnl.Conn) error { return c.AskAdvertise() })
			<-time.After(10 * time.Second)
		}
		look()
		return text
	}
	eventually(t, time.Minute, "the newest is on both sides", func() string {
		if look() {
			return ""
		}
		return text
	})
	return fmt.Sprintf("%s; %s after the return", text, seconds(time.Since(at)))
}

// fresh counts the sessions that a table has with the same addresses and the same time left, minus the time that has
// passed. docs/wire.md says how exact that is.
func fresh(want, have []session.Session, ago time.Duration) (n int) {
	const tolerance = 3 * time.Second
	type addresses struct{ src6, src4, dst4 netip.AddrPort }
	left := make(map[addresses]time.Duration)
	for _, h := range have {
		left[addresses{h.Src6, h.Src4, h.Dst4}] = h.Expires
	}
	for _, w := range want {
		if l, ok := left[addresses{w.Src6, w.Src4, w.Dst4}]; ok && l >= w.Expires-ago-tolerance {
			n++
		}
	}
	return n
}
