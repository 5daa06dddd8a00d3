package worker

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/internal/await"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/worker/workertest"
)

// lan connects n namespaces by a bridge. In each, the interface "sync" leads to the bridge.
func lan(t testing.TB, n int) []string {
	t.Helper()
	names, _ := halves(t, n, false)
	return names
}

// halves is like lan. If apart is set, the first two namespaces are on one bridge and the others on a second one, until join
// connects the bridges.
func halves(t testing.TB, n int, apart bool) (_ []string, join func()) {
	t.Helper()
	hub := nstest.New(t)
	nstest.IP(t, hub, "link add lan2 type bridge mcast_snooping 0", "link set lan2 up")
	nstest.IP(t, hub, "link add lan type bridge mcast_snooping 0", "link set lan up")
	var names []string
	for i := range n {
		ns, port := nstest.New(t), fmt.Sprintf("port%d", i)
		nstest.Veth(t,
			nstest.End{Namespace: ns, Name: "sync", Addrs: []string{fmt.Sprintf("fd64::%d/64", i+1), fmt.Sprintf("10.64.0.%d/24", i+1)}},
			nstest.End{Namespace: hub, Name: port})
		bridge := "lan"
		if apart && i >= 2 {
			bridge = "lan2"
		}
		nstest.IP(t, hub, "link set "+port+" master "+bridge)
		names = append(names, ns)
	}
	return names, func() {
		nstest.IP(t, hub, "link add one type veth peer name two", "link set one master lan", "link set two master lan2",
			"link set one up", "link set two up")
	}
}

// standbySpec returns the spec of a pair with sequence numbers and refreshes.
func standbySpec(ns string) (spec configdir.Spec) {
	spec = specFor(ns, group6)
	spec.Sequence, spec.RefreshPeriod, spec.ReceiveBuffer = true, time.Second, 8<<20
	return spec
}

// newStandby returns a host whose instance has a session table, which holds the records.
func newStandby(t testing.TB, v joolnl.Version, ns string, records ...session.Record) *host {
	t.Helper()
	h := newHost(t, v, standbySpec(ns))
	h.instance.Sessions = workertest.NewTable()
	h.instance.Sessions.Put(records...)
	return h
}

var ttl = settingsOf(joolnl.Globals{TCPEstablished: 2 * time.Hour, TCPTransitory: 4 * time.Minute, UDP: 5 * time.Minute, ICMP: workertest.ICMPTimeout}, jool4115)

// sessionAt returns session number n, which has been idle for idleFor. The number determines its protocol, state and addresses.
func sessionAt(n int, idleFor time.Duration) session.Record {
	kinds := []struct {
		proto session.Proto
		state session.State
		timer session.Timer
	}{{session.TCP, session.Established, session.TimerEstablished}, {session.TCP, session.Trans, session.TimerTransitory},
		{session.UDP, 0, 0}, {session.ICMP, 0, 0}}
	k := kinds[n%len(kinds)]
	var r session.Record
	copy(r[:], []byte{0x20, 0x01, 0x0d, 0xb8})
	binary.BigEndian.PutUint32(r[12:], uint32(n))
	copy(r[16:], []byte{198, 51, 100, byte(n >> 16), 192, 0, 2, byte(n)})
	for at, v := range map[int]uint16{28: uint16(n), 30: uint16(n), 32: 53} {
		binary.BigEndian.PutUint16(r[at:], v)
	}
	if k.proto == session.ICMP {
		copy(r[32:34], r[30:32])
	}
	return kind(r, k.proto, k.state, k.timer, idleFor)
}

// kind gives a record a protocol, a state, a timer and a time without packets.
func kind(r session.Record, p session.Proto, s session.State, timer session.Timer, idleFor time.Duration) session.Record {
	binary.BigEndian.PutUint16(r[34:], uint16(p)<<5|uint16(s)<<2|uint16(timer))
	r.SetExpires(uint32((ttl.TTL(uint8(p), uint8(timer)) - idleFor).Milliseconds()))
	return r
}

// sessionsAt are sessions from first on, idle for up to 30 s.
func sessionsAt(first, n int) []session.Record {
	var list []session.Record
	for i := first; i < first+n; i++ {
		list = append(list, sessionAt(i, time.Duration(i*37%30_000)*time.Millisecond))
	}
	return list
}

// apart is the tolerated difference between two times left, in milliseconds. It covers the delay of transmission, and the
// tolerance of the comparison in a full sync.
const apart = 3000

// differing describes the difference between two tables. Times left may differ by tolerance, in milliseconds. It returns "" if
// the tables are equal.
func differing(a, b []session.Record, tolerance int64) string {
	theirs := make(map[session.Key]session.Record)
	for _, r := range b {
		theirs[r.Key()] = r
	}
	missing, differ := 0, 0
	example := ""
	for _, r := range a {
		other, there := theirs[r.Key()]
		diff := replication.Idle(&r, ttl) - replication.Idle(&other, ttl)
		switch {
		case !there:
			missing++
			example = fmt.Sprintf("%x", r)
		case !r.Same(&other), diff > tolerance, diff < -tolerance:
			differ++
			example = fmt.Sprintf("%x and %x", r, other)
		}
	}
	if missing+differ == 0 && len(a) == len(b) {
		return ""
	}
	return fmt.Sprintf("of %d and %d sessions %d are missing in the second and %d differ, such as %s", len(a), len(b), missing, differ, example)
}

func wantEqual(t testing.TB, hosts ...*host) {
	t.Helper()
	for _, h := range hosts[1:] {
		if d := differing(hosts[0].instance.Sessions.Records(), h.instance.Sessions.Records(), apart); d != "" {
			t.Error(d)
		}
		if d := differing(h.instance.Sessions.Records(), hosts[0].instance.Sessions.Records(), apart); d != "" {
			t.Error(d)
		}
	}
}

// become waits until the tables of two hosts are equal.
func become(t *testing.T, a, b *host) {
	t.Helper()
	becomeAlike(t, a, b, apart)
}

func becomeAlike(t *testing.T, a, b *host, tolerance int64) {
	t.Helper()
	// A failed full sync is retried after a pause.
	await.Right(t, 3*patience, "the tables are equal", func() string {
		if n, m := a.instance.Sessions.Len(), b.instance.Sessions.Len(); n != m {
			return fmt.Sprintf("%d and %d sessions; %v and %v", n, m, a.Sync(), b.Sync())
		}
		if d := differing(a.instance.Sessions.Records(), b.instance.Sessions.Records(), tolerance); d != "" {
			return fmt.Sprintf("%s; %v and %v", d, a.Sync(), b.Sync())
		}
		return ""
	})
}

// unchanged checks that the module still has all sessions of before, and none in an older state.
func unchanged(t testing.TB, h *host, before []session.Record) {
	t.Helper()
	now := make(map[session.Key]session.Record)
	for _, r := range h.instance.Sessions.Records() {
		now[r.Key()] = r
	}
	for _, r := range before {
		after, there := now[r.Key()]
		// The idle time grows with the clock. Only a packet can reduce it, and only an older record can increase it further.
		if there && replication.Idle(&after, ttl) >= replication.Idle(&r, ttl) && after.Same(&r) {
			continue
		}
		if !there || replication.Idle(&after, ttl) > replication.Idle(&r, ttl) {
			t.Errorf("%x moved back to %x", r, after)
			return
		}
	}
}
