package worker

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// lan joins n namespaces by a switch. Their interface to it is called "sync".
func lan(t testing.TB, n int) []string {
	t.Helper()
	hub := nstest.New(t)
	nstest.IP(t, hub, "link add lan type bridge mcast_snooping 0", "link set lan up")
	var names []string
	for i := range n {
		ns, port := nstest.New(t), fmt.Sprintf("port%d", i)
		nstest.Veth(t,
			nstest.End{Namespace: ns, Name: "sync", Addrs: []string{fmt.Sprintf("fd64::%d/64", i+1), fmt.Sprintf("10.64.0.%d/24", i+1)}},
			nstest.End{Namespace: hub, Name: port})
		nstest.IP(t, hub, "link set "+port+" master lan")
		names = append(names, ns)
	}
	return names
}

// standbySpec is a pair's with everything on.
func standbySpec(ns string) (spec configdir.Spec) {
	spec = specFor(ns, group6)
	spec.Sequence, spec.RefreshPeriod, spec.ReceiveBuffer = true, time.Second, 8<<20
	return spec
}

// newStandby makes a host whose instance has a table.
func newStandby(t testing.TB, v joolnl.Version, ns string, records ...joolnl.Record) *host {
	t.Helper()
	h := newHost(t, v, standbySpec(ns))
	h.instance.Sessions = workertest.NewTable()
	h.instance.Sessions.Put(records...)
	return h
}

var ttl = settingsOf(joolnl.Globals{TCPEstablished: 2 * time.Hour, TCPTransitory: 4 * time.Minute, UDP: 5 * time.Minute, ICMP: time.Minute})

// sessionAt is session n: of a protocol and kind that follow from its number, and
// idle for so long.
func sessionAt(n int, idleFor time.Duration) joolnl.Record {
	kinds := []struct {
		proto joolnl.Proto
		state joolnl.State
		timer joolnl.Timer
	}{{joolnl.TCP, joolnl.Established, joolnl.TimerEstablished}, {joolnl.TCP, joolnl.Trans, joolnl.TimerTransitory},
		{joolnl.UDP, 0, 0}, {joolnl.ICMP, 0, 0}}
	k := kinds[n%len(kinds)]
	var r joolnl.Record
	copy(r[:], []byte{0x20, 0x01, 0x0d, 0xb8})
	binary.BigEndian.PutUint32(r[12:], uint32(n))
	copy(r[16:], []byte{198, 51, 100, byte(n >> 16), 192, 0, 2, byte(n)})
	for at, v := range map[int]uint16{28: uint16(n), 30: uint16(n), 32: 53} {
		binary.BigEndian.PutUint16(r[at:], v)
	}
	if k.proto == joolnl.ICMP {
		copy(r[32:34], r[30:32])
	}
	return kind(r, k.proto, k.state, k.timer, idleFor)
}

// kind gives a record a protocol, a state, a timer and a time without packets.
func kind(r joolnl.Record, p joolnl.Proto, s joolnl.State, timer joolnl.Timer, idleFor time.Duration) joolnl.Record {
	binary.BigEndian.PutUint16(r[34:], uint16(p)<<5|uint16(s)<<2|uint16(timer))
	r.SetExpires(uint32((ttl.TTL(uint8(p), uint8(timer)) - idleFor).Milliseconds()))
	return r
}

// sessionsAt are sessions from first on, idle for up to 30 s.
func sessionsAt(first, n int) []joolnl.Record {
	var list []joolnl.Record
	for i := first; i < first+n; i++ {
		list = append(list, sessionAt(i, time.Duration(i*37%30_000)*time.Millisecond))
	}
	return list
}

// report has the module report sessions, as it does when it translates.
func (h *host) report(records ...joolnl.Record) {
	h.t.Helper()
	h.instance.Sessions.Put(records...)
	for len(records) > 0 {
		n := min(36, len(records))
		var list []byte
		for i := range records[:n] {
			var err error
			if list, err = h.running.format.AppendRecord(list, &records[i], workertest.Pool6); err != nil {
				h.t.Fatal(err)
			}
		}
		if h.instance.Multicast(list) != 1 {
			h.t.Fatal("nobody listens to the instance")
		}
		records = records[n:]
	}
}

// synced waits for a worker to know that its table is complete.
func (h *host) synced() ResyncReport {
	h.t.Helper()
	within(h.t, 4*patience, "the table is complete", func() bool {
		s := h.Sync()
		return s.Synced == syncwire.SyncYes && s.Phase == "" && s.Last != nil
	})
	return *h.Sync().Last
}

// alone waits for a worker to know that nobody is there.
func (h *host) alone() {
	h.t.Helper()
	eventually(h.t, "it is alone", func() bool { return h.Sync().Synced == syncwire.SyncAlone })
}

// apart is how far two times left may be apart, in milliseconds: what the way
// takes, and what a resync does not look at.
const apart = 3000

// differing says in what two tables differ, if times left may be so far apart.
func differing(a, b []joolnl.Record, tolerance int64) string {
	theirs := make(map[joolnl.Key]joolnl.Record)
	for _, r := range b {
		theirs[r.Key()] = r
	}
	missing, differ := 0, 0
	example := ""
	for _, r := range a {
		other, there := theirs[r.Key()]
		diff := idle(&r, ttl) - idle(&other, ttl)
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

// become waits for two tables to be equal.
func become(t *testing.T, a, b *host) {
	t.Helper()
	becomeAlike(t, a, b, apart)
}

func becomeAlike(t *testing.T, a, b *host, tolerance int64) {
	t.Helper()
	d := "never compared"
	end := time.Now().Add(3 * patience) // a resync that fails is tried again after a pause
	for d != "" && time.Now().Before(end) {
		if d = differing(a.instance.Sessions.Records(), b.instance.Sessions.Records(), tolerance); d != "" {
			time.Sleep(20 * time.Millisecond)
		}
	}
	if d != "" {
		t.Fatalf("%s; %v and %v", d, a.Sync(), b.Sync())
	}
}

// untouched checks that nothing of before has moved back, or gone.
func untouched(t testing.TB, h *host, before []joolnl.Record) {
	t.Helper()
	now := make(map[joolnl.Key]joolnl.Record)
	for _, r := range h.instance.Sessions.Records() {
		now[r.Key()] = r
	}
	for _, r := range before {
		after, there := now[r.Key()]
		// Time passes for both; a packet can only make it younger.
		if there && idle(&after, ttl) >= idle(&r, ttl) && after.Same(&r) {
			continue
		}
		if !there || idle(&after, ttl) > idle(&r, ttl) {
			t.Errorf("%x moved back to %x", r, after)
			return
		}
	}
}

func TestColdStandby(t *testing.T) {
	for _, v := range []joolnl.Version{jool419, jool4112, jool4115} {
		t.Run(v.String(), func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			const n = 3000
			active, standby := newStandby(t, v, a, sessionsAt(0, n)...), newStandby(t, v, b)
			active.start()
			standby.start()
			got := standby.synced()
			wantEqual(t, active, standby)
			if got.Got != n || got.Injected != n || got.Had+got.Collisions+got.GaveBack+got.Replaced != 0 || got.From != "fd64::1" {
				t.Errorf("%+v", got)
			}
			if l := standby.counters.Losses(); l != (Losses{}) {
				t.Errorf("losses %+v", l)
			}
			active.synced() // its peer has given nothing back, or was asked by it
			if added, _, _ := active.instance.Sessions.Counts(); added != 0 {
				t.Errorf("%d sessions were given to the active's module", added)
			}
			oldestCameFirst(t, standby)
		})
	}
}

// oldestCameFirst looks at the order in which a module was given sessions.
func oldestCameFirst(t *testing.T, h *host) {
	t.Helper()
	var last int64 = 1 << 62
	for _, req := range h.instance.Requests() {
		f := joolnl.ListFormat(req.Entries)
		for b := req.Entries; len(b) > 0; b = b[f.EntryLen():] {
			r := f.Record(b)
			// What takes time meanwhile is corrected, so it is not exact.
			if now := idle(&r, ttl); now > last+1000 {
				t.Fatalf("a session idle for %d ms comes behind one of %d", now, last)
			} else {
				last = now
			}
		}
	}
}

// TestMixedVersions resyncs between modules of every two versions.
func TestMixedVersions(t *testing.T) {
	versions := []joolnl.Version{jool419, jool4112, jool4115}
	for i, v := range versions {
		for _, w := range []joolnl.Version{versions[(i+1)%3], versions[(i+2)%3]} {
			t.Run(fmt.Sprintf("%v and %v", v, w), func(t *testing.T) {
				t.Parallel()
				a, b := hosts(t)
				first, second := newStandby(t, v, a, sessionsAt(0, 500)...), newStandby(t, w, b, sessionsAt(400, 500)...)
				first.start()
				second.start()
				first.synced()
				second.synced()
				become(t, first, second)
				first.report(sessionsAt(2000, 100)...)
				become(t, first, second)
				wantEqual(t, first, second)
			})
		}
	}
}

func TestEqualTables(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	const n = 3000
	first, second := newStandby(t, jool4115, a, sessionsAt(0, n)...), newStandby(t, jool4115, b, sessionsAt(0, n)...)
	first.start()
	second.start()
	for _, h := range []*host{first, second} {
		if r := h.synced(); r.Got != n || r.Had != n || r.Injected+r.GaveBack+r.Collisions != 0 {
			t.Errorf("%+v", r)
		}
		if n := h.instance.Count(joolnl.JooldAdd); n != 0 {
			t.Errorf("%d JOOLD_ADDs", n)
		}
	}
}

// TestReturn has an asker that knows more, and some of it better.
func TestReturn(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	common := sessionsAt(0, 1000)
	newer := []joolnl.Record{sessionAt(800, 0), kind(sessionAt(804, 0), joolnl.TCP, joolnl.Trans, joolnl.TimerTransitory, 0)}
	active, returning := newStandby(t, jool4115, a, common...), newStandby(t, jool4115, b, common[500:]...)
	returning.instance.Sessions.Put(sessionsAt(5000, 700)...)
	returning.instance.Sessions.Put(newer...)
	active.start().alone()
	returning.start()
	got := returning.synced()
	become(t, active, returning)
	if got.Injected != 500 || got.Had != 498 || got.GaveBack != 700+2 || got.Collisions != 0 {
		t.Errorf("%+v", got)
	}
	eventually(t, "the one that was alone knows that it is complete", func() bool { return active.Sync().Synced == syncwire.SyncYes })
}

// TestStaleTable: one that was away comes back with what has changed meanwhile.
// Nothing moves backwards, and mappings that are taken make way.
func TestStaleTable(t *testing.T) {
	for _, who := range []string{"the stale one starts", "the fresh one starts"} {
		t.Run(who, func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			fresh, stale := newStandby(t, jool4115, a), newStandby(t, jool4115, b)
			var old, now []joolnl.Record
			for i := range 400 {
				o := kind(sessionAt(4*i, 0), joolnl.TCP, joolnl.Established, 0, 10*time.Minute)
				old = append(old, o)
				switch i % 4 {
				case 0: // still in use
					now = append(now, kind(o, joolnl.TCP, joolnl.Established, 0, 5*time.Second))
				case 1: // closing: less time left than the stale one
					now = append(now, kind(o, joolnl.TCP, joolnl.Trans, joolnl.TimerTransitory, time.Minute))
				case 2: // its mask belongs to another host
					o[14]++
					now = append(now, kind(o, joolnl.TCP, joolnl.Established, 0, time.Second))
				case 3: // the host has another mask
					o[16]++
					now = append(now, kind(o, joolnl.TCP, joolnl.Established, 0, time.Second))
				}
			}
			fresh.instance.Sessions.Put(now...)
			stale.instance.Sessions.Put(old...)
			before := fresh.instance.Sessions.Records()
			first, second := fresh, stale
			if who == "the fresh one starts" {
				first, second = stale, fresh
			}
			first.start().alone()
			second.start()
			second.synced()
			become(t, fresh, stale)
			untouched(t, fresh, before)
			wantEqual(t, fresh, stale)
		})
	}
}

// TestThreeHosts has two cold ones ask at once.
func TestThreeHosts(t *testing.T) {
	t.Parallel()
	names := lan(t, 3)
	const n = 5000
	active := newStandby(t, jool4115, names[0], sessionsAt(0, n)...)
	active.start().alone()
	second, third := newStandby(t, jool4115, names[1]), newStandby(t, jool4115, names[2])
	second.start()
	third.start()
	second.synced()
	third.synced()
	become(t, active, second)
	become(t, active, third)
	wantEqual(t, active, second, third)
	live := sessionsAt(10_000, 50)
	second.report(live...)
	become(t, second, active)
	become(t, second, third)
}

// TestSenderDies stops the one that answers in the middle: another takes over.
func TestSenderDies(t *testing.T) {
	t.Parallel()
	names := lan(t, 3)
	const n = 20_000
	first, other := newStandby(t, jool4115, names[0], sessionsAt(0, n)...), newStandby(t, jool4115, names[1], sessionsAt(0, n-10)...)
	first.start()
	other.start()
	first.synced()
	other.synced()
	// Equal now; the one that holds one more is asked.
	first.instance.Sessions.Put(sessionsAt(n, 1)...)
	within(t, 3*patience, "who holds the most is known", func() bool {
		p := other.Peers()
		return len(p) == 1 && p[0].Sessions == n+1
	})
	cold := newStandby(t, jool4115, names[2])
	cold.start()
	eventually(t, "it receives", func() bool {
		s := cold.Sync()
		return s.Phase == collecting.String() && s.Done > 0
	})
	first.stop()
	if done := cold.Sync(); done.Synced == syncwire.SyncYes {
		t.Skip("it was too fast to be stopped in the middle")
	}
	if r := cold.synced(); r.From != "fd64::2" || r.Got != n {
		t.Errorf("%+v", r)
	}
	wantEqual(t, other, cold)
}

// lossy has a worker's socket drop a part of what it is sent, by a filter in the
// kernel.
func (h *host) lossy(percent uint32) {
	h.t.Helper()
	prog, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtRand},
		bpf.ALUOpConstant{Op: bpf.ALUOpMod, Val: 100},
		bpf.JumpIf{Cond: bpf.JumpLessThan, Val: percent, SkipFalse: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: 1 << 18},
	})
	if err != nil {
		h.t.Fatal(err)
	}
	filter := make([]unix.SockFilter, len(prog))
	for i, p := range prog {
		filter[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	if err := unix.SetsockoptSockFprog(h.running.socket.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		h.t.Fatal(err)
	}
}

// TestLoss runs over networks that lose both ways.
func TestLoss(t *testing.T) {
	for _, percent := range []uint32{1, 10, 20} {
		t.Run(fmt.Sprintf("%d %%", percent), func(t *testing.T) {
			t.Parallel()
			a, b := hosts(t)
			const n = 10_000
			active, standby := newStandby(t, jool4115, a, sessionsAt(0, n)...), newStandby(t, jool4115, b)
			active.start()
			active.lossy(percent)
			standby.start()
			standby.lossy(percent)
			standby.synced()
			become(t, active, standby)
			// Live ones, two datagrams every 5 ms.
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for i := range 100 {
				active.report(sessionsAt(20_000+40*i, 40)...)
				<-tick.C
			}
			become(t, active, standby)
			wantEqual(t, active, standby)
			l, g := standby.counters.Losses(), standby.counters.Ledger()
			t.Logf("%d datagrams repaired, %d lost for good", g.Repaired, l.NetworkLost)
			if percent >= 10 && g.Repaired == 0 {
				t.Error("nothing was repaired")
			}
			within(t, 4*patience, "all is made good", func() bool { return standby.Sync().Unrepaired == 0 })
		})
	}
}

// TestLiveDuringResync reports sessions while a resync brings older ones.
func TestLiveDuringResync(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	const n = 5000
	active, standby := newStandby(t, jool4115, a, sessionsAt(0, n)...), newStandby(t, jool4115, b)
	active.start().alone()
	standby.start()
	for i := 0; standby.Sync().Synced != syncwire.SyncYes; i++ {
		// Established ones, most of them in the table, go on to close.
		r := sessionAt(4*(i%(n/4)), 0)
		active.report(kind(r, joolnl.TCP, joolnl.V6FinRcv, 0, 0))
		active.report(kind(r, joolnl.TCP, joolnl.V4FinV6FinRcv, joolnl.TimerTransitory, 0))
		standby.report(sessionAt(100_000+4*i, 0))
		time.Sleep(time.Millisecond)
	}
	become(t, active, standby)
	wantEqual(t, active, standby)
}

// TestWithoutSequence has a peer that sends nothing but upstream's bytes.
func TestWithoutSequence(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	ours := newStandby(t, jool4115, a, sessionsAt(0, 100)...)
	spec := standbySpec(b)
	spec.Sequence = false
	plainOne := newHost(t, jool4115, spec)
	plainOne.instance.Sessions = workertest.NewTable()
	plainOne.start()
	ours.start()
	ours.report(sessionsAt(1000, 40)...)
	eventually(t, "live sessions cross", func() bool { return plainOne.instance.Sessions.Len() == 40 })
	plainOne.report(sessionsAt(2000, 40)...)
	eventually(t, "both ways", func() bool { return ours.instance.Sessions.Len() == 180 })
	ours.alone()
	if p := ours.Peers(); len(p) != 1 || p[0].ID != 0 {
		t.Errorf("peers %+v", p)
	}
	if l := plainOne.counters.Losses(); l.Malformed > 0 || l.NotUnderstood == 0 {
		t.Errorf("losses %+v", l)
	}
	if l := ours.counters.Losses(); l != (Losses{}) {
		t.Errorf("losses %+v", l)
	}
}

// TestRestart has the active's worker away while sessions are opened.
func TestRestart(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	active, standby := newStandby(t, jool4115, a, sessionsAt(0, 500)...), newStandby(t, jool4115, b)
	active.start()
	standby.start()
	standby.synced()
	active.synced()
	active.stop()
	active.instance.Sessions.Put(sessionsAt(500, 2000)...)
	active.init(standbySpec(a))
	active.start()
	active.synced()
	become(t, active, standby)
	wantEqual(t, active, standby)
}

// TestRestartAmongThree has the active's worker away while sessions are opened: it
// asks one peer when it is back, and both come to know of them.
func TestRestartAmongThree(t *testing.T) {
	t.Parallel()
	names := lan(t, 3)
	active, second, third := newStandby(t, jool4115, names[0], sessionsAt(0, 500)...), newStandby(t, jool4115, names[1]), newStandby(t, jool4115, names[2])
	for _, h := range []*host{active, second, third} {
		h.start()
	}
	for _, h := range []*host{active, second, third} {
		h.synced()
	}
	active.stop()
	active.instance.Sessions.Put(sessionsAt(500, 3)...) // too few to be seen in the tables' sizes
	active.init(standbySpec(names[0]))
	active.start()
	active.synced()
	become(t, active, second)
	become(t, active, third)
	wantEqual(t, active, second, third)
}

// TestReturnToEverybody: who has not been compared with is not complete by what is
// returned to all.
func TestReturnToEverybody(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	s := newScripted(t, a)
	h := newStandby(t, jool4115, b)
	h.start()
	to := s.asked(100)
	s.say(&syncwire.Begin{Resync: 9, Why: syncwire.WhyReturn, Sessions: 10, Settings: ttl})
	s.bulk(9, 0, sessionsAt(0, 10))
	s.end(9, 10)
	eventually(t, "it has what was returned", func() bool { return h.instance.Sessions.Len() == 10 })
	if h.Sync().Synced == syncwire.SyncYes && h.Sync().Phase == "" {
		t.Error("it holds itself to be complete")
	}
	s.begin(to, 5, 100)
	for i := range bulksOf(100) {
		s.bulk(5, i, sessionsAt(0, 100))
	}
	s.end(5, 100)
	eventually(t, "it has everything", func() bool { return h.instance.Sessions.Len() == 100 })
}

// TestAppears has a peer that is first heard by a datagram of sessions: its
// HELLO was lost.
func TestAppears(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	h := newStandby(t, jool4115, b)
	h.start().alone()
	sender := openPlain(t, a, group6, port, "sync")
	sender.send(syncwire.Trailer{Kind: syncwire.Live, Sender: 77, Seq: 1}.Append(entries(t, jool4115, 1, 1)))
	hello := syncwire.Message{Sender: 77, Last: 1, Body: &syncwire.Hello{Sync: syncwire.SyncAlone, Sessions: 1, Settings: ttl}}
	sender.send(hello.Append(nil))
	solicit, _ := control[*syncwire.Solicit](sender)
	if solicit.To != 77 {
		t.Errorf("%+v", solicit)
	}
}

// control reads datagrams until one is a control message of a type.
func control[T syncwire.Body](p *plain) (T, syncwire.Message) {
	p.t.Helper()
	for {
		b, _ := p.receive()
		if m, err := syncwire.Parse(slices.Clone(b)); err == nil {
			if body, ok := m.Body.(T); ok {
				return body, m
			}
		}
	}
}
