package worker

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/session"
	"joolctl/worker/workertest"
)

// entries returns n sessions in the format of a version of Jool. Their ports and addresses are numbered, beginning with first.
func entries(t testing.TB, v joolnl.Version, first, n int) []byte {
	t.Helper()
	return inFormat(t, v.Format(), first, n)
}

func inFormat(t testing.TB, f session.Format, first, n int) []byte {
	t.Helper()
	var b []byte
	for i := first; i < first+n; i++ {
		dst4 := [4]byte{192, 0, 2, byte(i)}
		dst6 := [16]byte{0, 0x64, 0xff, 0x9b, 12: 192, 13: 0, 14: 2, 15: byte(i)}
		var err error
		b, err = f.Append(b, session.Session{
			Proto:   session.UDP,
			Src6:    netip.AddrPortFrom(netip.MustParseAddr("2001:db8::8"), uint16(i)),
			Dst6:    netip.AddrPortFrom(netip.AddrFrom16(dst6), 53),
			Src4:    netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(i)),
			Dst4:    netip.AddrPortFrom(netip.AddrFrom4(dst4), 53),
			Expires: 5 * time.Minute,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// packed returns records in the format of the newest module.
func packed(t testing.TB, records ...session.Record) []byte {
	t.Helper()
	var list []byte
	for i := range records {
		var err error
		if list, err = session.Packed40.AppendRecord(list, &records[i], workertest.Pool6); err != nil {
			t.Fatal(err)
		}
	}
	return list
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
