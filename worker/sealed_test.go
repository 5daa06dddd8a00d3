package worker

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
)

// rekey changes the mode and the keys of a running host.
func (h *host) rekey(mode configdir.Security, keys ...seal.Key) {
	h.t.Helper()
	h.reconfigure(func(s *configdir.Spec) { s.Security, s.Keys = mode, seal.NewKeys(keys...) })
}

// linked waits until a host and another one accept each other's datagrams.
func (h *host) linked(links uint64) {
	h.t.Helper()
	eventually(h.t, "the hosts accept each other", func() bool {
		var n uint64
		_ = h.running.thread.Do(func() { n = h.running.channel.Links() })
		return n >= links
	})
}

// traces counts the datagrams that have an address of one of the sessions: the IPv6 host's, or those on the IPv4 side together.
func traces(datagrams [][]byte, records []session.Record) (n int) {
	for _, d := range datagrams {
		for i := range records {
			if r := &records[i]; bytes.Contains(d, r[:16]) || bytes.Contains(d, r[16:24]) {
				n++
				break
			}
		}
	}
	return n
}

// TestSealedHosts starts two hosts: a full sync and live sessions cross, between all versions of Jool. A listener finds the addresses of
// sessions in their datagrams if these are clear, and none if they are sealed.
func TestSealedHosts(t *testing.T) {
	key := seal.NewKey(7)
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityAccept, configdir.SecuritySend, configdir.SecurityRequire} {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			bed := newTestbed(t, 3)
			stop := bed.peer(2).record()
			first, second := bed.standby(0, sessionsAt(0, 500)...), bed.standby(1).of(jool419)
			for _, h := range []*host{first, second} {
				h.keyed(mode, key).start()
			}
			first.synced()
			second.synced()
			becomeAlike(t, first, second, apart)
			live := sessionsAt(1000, 100)
			for i := range live {
				[]*host{first, second}[i%2].report(live[i])
			}
			for _, h := range []*host{first, second} {
				eventually(t, "the live sessions cross", func() bool { return h.has(live) })
				l := h.counters.Losses()
				if l.Unconfirmed = 0; l != (Losses{}) { // it may take a moment until the hosts accept each other
					t.Errorf("losses %+v", l)
				}
			}
			datagrams := stop()
			all := append(sessionsAt(0, 500), live...)
			size := 0
			for _, d := range datagrams {
				size += len(d)
			}
			if shortest := len(all) * session.ShortLen; size < shortest {
				t.Errorf("%d datagrams of %d bytes together, too short for %d sessions of at least %d bytes", len(datagrams), size, len(all), shortest)
			}
			if found := traces(datagrams, all); (found == 0) != mode.Seals() {
				t.Errorf("%d of %d datagrams have an address of a session", found, len(datagrams))
			}
			for _, d := range datagrams {
				if len(d) > syncwire.MaxMessage {
					t.Errorf("a datagram of %d bytes", len(d))
				}
				if mode.Seals() && !seal.IsSealed(d) {
					t.Errorf("a clear datagram: %x", d)
				}
			}
		})
	}
}

// TestWithoutTheKey has hosts without the key, and a forger, in the group of two hosts: only counters change.
func TestWithoutTheKey(t *testing.T) {
	key := seal.NewKey(1)
	bed := newTestbed(t, 6)
	recorded := bed.peer(5)
	stop := recorded.record()
	first, second := bed.standby(0, sessionsAt(0, 200)...), bed.standby(1)
	first.keyed(configdir.SecurityRequire, key).start()
	second.keyed(configdir.SecurityRequire, key).start()
	first.synced()
	second.synced()
	before := first.instance.Sessions.Records()
	strangers := []*host{
		bed.standby(2, sessionsAt(5000, 100)...),
		bed.standby(3, sessionsAt(6000, 100)...).keyed(configdir.SecurityRequire, seal.NewKey(1)),
		bed.standby(4, sessionsAt(7000, 100)...).keyed(configdir.SecurityRequire, seal.NewKey(2)),
	}
	for i, h := range strangers {
		h.start().report(sessionsAt(8000+100*i, 50)...)
	}
	live := sessionAt(9000, 0)
	first.report(live)
	eventually(t, "a session crosses", func() bool { return second.has([]session.Record{live}) })
	datagrams := stop()
	for i := range 3 {
		for _, d := range datagrams {
			d = bytes.Clone(d)
			if i == 1 {
				d[len(d)/2] ^= 1
			}
			recorded.send(d)
		}
	}
	for _, h := range []*host{first, second} {
		h.onlyRefused()
		unchanged(t, h, before)
		if n := h.instance.Sessions.Len(); n != len(before)+1 {
			t.Errorf("%d sessions, want %d", n, len(before)+1)
		}
	}
	for i, h := range strangers {
		if h.has([]session.Record{live}) {
			t.Errorf("stranger %d has learned a session", i)
		}
	}
}

// onlyRefused waits until the host has refused datagrams for each reason, and checks that nothing but counters and the log shows it.
func (h *host) onlyRefused() {
	h.t.Helper()
	eventually(h.t, "each counter changes", func() bool {
		l := h.counters.Losses()
		return l.Forged > 0 && l.Replayed > 0 && l.UnknownKey > 0 && l.ClearRefused > 0
	})
	l := h.counters.Losses()
	l.Forged, l.Replayed, l.UnknownKey, l.ClearRefused, l.Unconfirmed = 0, 0, 0, 0, 0
	if l != (Losses{}) {
		h.t.Errorf("losses %+v", l)
	}
	if s := h.Sync(); s.Synced != syncwire.SyncYes || s.Phase != "" {
		h.t.Errorf("%+v", s)
	}
	if peers := h.Peers(); len(peers) != 1 {
		h.t.Errorf("peers %+v", peers)
	}
	for _, line := range []string{"a forged datagram", "a replayed datagram", "a key that the key file does not have", "dropped a clear datagram"} {
		if n := h.log.count(line); n != 1 {
			h.t.Errorf("%d lines in the log with %q, want 1", n, line)
		}
	}
}

// TestRestartedHost replays what a peer has sent to a host that was restarted meanwhile: the host opens none of it.
func TestRestartedHost(t *testing.T) {
	key := seal.NewKey(1)
	bed := newTestbed(t, 3)
	attacker := bed.peer(2)
	stop := attacker.record()
	first, second := bed.standby(0, sessionsAt(0, 100)...).keyed(configdir.SecurityRequire, key), bed.standby(1).keyed(configdir.SecurityRequire, key)
	first.start()
	second.start()
	first.synced()
	second.synced()
	first.report(sessionsAt(1000, 10)...)
	eventually(t, "the sessions cross", func() bool { return second.has(sessionsAt(1000, 10)) })
	first.stop()
	second.stop()
	datagrams := stop()
	again := bed.standby(1).keyed(configdir.SecurityRequire, key).start()
	for _, d := range datagrams {
		attacker.send(d)
	}
	eventually(t, "all of the recording has arrived", func() bool {
		l := again.counters.Losses()
		return l.Unconfirmed+l.Replayed > 0
	})
	if n := again.log.count("may be a recording"); n != 0 {
		t.Errorf("%d lines about a recording of less than a second", n)
	}
	again.alone()
	if n := again.instance.Sessions.Len(); n != 0 || len(again.Peers()) != 0 {
		t.Errorf("%d sessions, peers %+v", n, again.Peers())
	}
}

// TestMigration changes two hosts from clear to sealed datagrams and back, one after the other, while both report sessions. All sessions
// arrive, none by a full sync.
func TestMigration(t *testing.T) {
	key := seal.NewKey(1)
	bed := newTestbed(t, 2)
	both := []*host{bed.standby(0), bed.standby(1)}
	for _, h := range both {
		h.start()
	}
	for _, h := range both {
		h.synced()
	}
	syncs := [2]FullSyncs{both[0].counters.FullSyncs(), both[1].counters.FullSyncs()}
	var all []session.Record
	traffic := func() {
		for range 20 {
			for _, h := range both {
				r := sessionAt(len(all), 0)
				h.report(r)
				all = append(all, r)
			}
		}
	}
	for _, mode := range []configdir.Security{
		configdir.SecurityAccept, configdir.SecuritySend, configdir.SecurityRequire, configdir.SecuritySend, configdir.SecurityAccept, configdir.SecurityOff,
	} {
		for _, h := range both {
			traffic()
			h.rekey(mode, key)
			traffic()
		}
		if mode.Keyed() {
			for _, h := range both {
				h.linked(1)
			}
		}
	}
	for i, h := range both {
		eventually(t, "all sessions cross", func() bool { return h.has(all) })
		l := h.counters.Losses()
		l.Unconfirmed, l.NotUnderstood = 0, 0 // greetings: before the peers accept each other, and at the host that has no key yet
		if l != (Losses{}) {
			t.Errorf("losses %+v", l)
		}
		if now := h.counters.FullSyncs(); now != syncs[i] {
			t.Errorf("full syncs %+v, then %+v", syncs[i], now)
		}
		if s := h.Sync(); s.Synced != syncwire.SyncYes {
			t.Errorf("%+v", s)
		}
	}
}

// TestKeyRotation adds a key on each of three hosts, moves it to the first line on each, and removes the old one, under traffic.
func TestKeyRotation(t *testing.T) {
	one, two := seal.NewKey(1), seal.NewKey(2)
	bed := newTestbed(t, 3)
	var all []*host
	for i := range bed.ns {
		all = append(all, bed.standby(i).keyed(configdir.SecurityRequire, one).start())
	}
	for _, h := range all {
		h.synced()
		h.linked(2)
	}
	var reported []session.Record
	traffic := func() {
		for range 10 {
			for _, h := range all {
				r := sessionAt(len(reported), 0)
				h.report(r)
				reported = append(reported, r)
			}
		}
	}
	keyOf := func(h *host) (id uint8) {
		_ = h.running.thread.Do(func() { id = seal.KeyID(h.running.channel.Seal(nil, []byte{1}, time.Now())) })
		return id
	}
	for step, keys := range [][]seal.Key{{one, two}, {two, one}, {two}} {
		for _, h := range all {
			traffic()
			h.rekey(configdir.SecurityRequire, keys...)
			traffic()
		}
		for i, h := range all {
			eventually(t, fmt.Sprintf("step %d: host %d seals with the first key", step, i), func() bool { return keyOf(h) == keys[0].ID })
			eventually(t, "all sessions cross", func() bool { return h.has(reported) })
		}
	}
	for _, h := range all {
		l := h.counters.Losses()
		l.Repaired = 0 // keyOf has used counters of the run, not sequence numbers
		if l.Unconfirmed = 0; l != (Losses{}) {
			t.Errorf("losses %+v", l)
		}
	}
}
