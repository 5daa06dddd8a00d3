package sim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/joolnl"
	"joolctl/session"
)

// shown is the part of a session that tests compare.
type shown struct {
	State session.State
	Timer session.Timer
	Left  time.Duration
}

func show(r session.Record) shown {
	return shown{r.State(), r.Timer(), time.Duration(r.Expires()) * time.Millisecond}
}

func TestTCPStates(t *testing.T) {
	const est, trans = 2 * time.Hour, 4 * time.Minute
	type packet struct {
		flag  Flag
		from4 bool
	}
	established := []packet{{SYN, false}, {SYN, true}}
	for name, c := range map[string]struct {
		packets []packet
		want    shown
	}{
		"opening":            {[]packet{{SYN, false}}, shown{session.V6Init, session.TimerTransitory, trans}},
		"SYN again":          {[]packet{{SYN, false}, {SYN, false}}, shown{session.V6Init, session.TimerTransitory, trans}},
		"data while opening": {[]packet{{SYN, false}, {Data, false}}, shown{session.V6Init, session.TimerTransitory, trans - time.Second}},
		"established":        {established, shown{session.Established, session.TimerEstablished, est}},
		"data":               {append(established, packet{Data, true}), shown{session.Established, session.TimerEstablished, est}},
		"FIN does not renew": {append(established, packet{FIN, true}), shown{session.V4FinRcv, session.TimerEstablished, est - time.Second}},
		"data behind a FIN":  {append(established, packet{FIN, false}, packet{Data, true}), shown{session.V6FinRcv, session.TimerEstablished, est}},
		"both FINs":          {append(established, packet{FIN, false}, packet{FIN, true}), shown{session.V4FinV6FinRcv, session.TimerTransitory, trans}},
		"data behind both":   {append(established, packet{FIN, true}, packet{FIN, false}, packet{Data, true}), shown{session.V4FinV6FinRcv, session.TimerTransitory, trans - time.Second}},
		"RST":                {append(established, packet{RST, false}), shown{session.Trans, session.TimerTransitory, trans}},
		"back from TRANS":    {append(established, packet{RST, false}, packet{Data, true}), shown{session.Established, session.TimerEstablished, est}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "4.1.15", nil)
			mask := netip.AddrPort{}
			for i, p := range c.packets {
				b.at(time.Duration(i) * time.Second)
				var ok bool
				if mask, ok = b.Packet(Packet{session.TCP, p.flag, client(1), web, p.from4, mask}); !ok {
					t.Fatalf("packet %d was dropped", i)
				}
			}
			if diff := cmp.Diff(c.want, show(b.record(session.TCP, 1))); diff != "" {
				t.Errorf("session (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	b := newBench(t, "4.1.15", nil)
	b.open(session.ICMP, 1)
	b.open(session.UDP, 2)
	tcp := b.open(session.TCP, 3)
	b.Packet(Packet{session.TCP, SYN, client(3), web, true, tcp.Src4()})
	for _, c := range []struct {
		at   time.Duration
		want int
	}{
		{time.Minute - 1, 3}, {time.Minute, 2}, {5*time.Minute - 1, 2}, {5 * time.Minute, 1},
		{2 * time.Hour, 1}, {2*time.Hour + 4*time.Minute - 1, 1}, {2*time.Hour + 4*time.Minute, 0},
	} {
		if got := b.at(c.at).Len(); got != c.want {
			t.Errorf("%d sessions after %v, want %d", got, c.at, c.want)
		}
		if c.at == 2*time.Hour {
			if got := show(b.record(session.TCP, 3)).State; got != session.Trans {
				t.Errorf("a connection whose timeout has ended is %v, want TRANS", got)
			}
		}
	}
	if n := len(b.bib.byHost) + len(b.bib.byMask); n != 0 {
		t.Errorf("%d BIB entries are left without sessions", n)
	}
}

func TestPacketsWithoutSession(t *testing.T) {
	b := newBench(t, "4.1.15", nil)
	mask := netip.MustParseAddrPort("198.51.100.1:2000")
	for name, p := range map[string]Packet{
		"data of an unknown connection": {Proto: session.TCP, Flag: Data, Src6: client(1), Dst4: web},
		"TCP from IPv4 without BIB":     {Proto: session.TCP, Flag: SYN, Dst4: web, From4: true, Src4: mask},
		"UDP from IPv4 without BIB":     {Proto: session.UDP, Dst4: web, From4: true, Src4: mask},
	} {
		if _, ok := b.Packet(p); ok {
			t.Errorf("%s was translated", name)
		}
	}
	if b.Len() != 0 || len(b.bib.byMask) != 0 {
		t.Error("a dropped packet left a session or a BIB entry behind")
	}
}

func TestAdd(t *testing.T) {
	const est, trans = session.TimerEstablished, session.TimerTransitory
	mask, other := "198.51.100.1:2000", "198.51.100.1:2001"
	elsewhere := made(session.TCP, 1, other, session.Established, est, time.Hour)
	elsewhere[23]++ // another dst4
	moved := elsewhere
	setMask(&moved, netip.MustParseAddrPort(mask))
	for name, c := range map[string]struct {
		have, add, want []session.Record
		collisions      uint64
	}{
		"into an empty table": {
			add:  []session.Record{made(session.TCP, 1, mask, session.Established, est, time.Hour)},
			want: []session.Record{made(session.TCP, 1, mask, session.Established, est, time.Hour)},
		},
		"an older state overwrites": {
			have: []session.Record{made(session.TCP, 1, mask, session.Established, est, time.Hour)},
			add:  []session.Record{made(session.TCP, 1, mask, session.V6Init, trans, 200*time.Second)},
			want: []session.Record{made(session.TCP, 1, mask, session.V6Init, trans, 200*time.Second)},
		},
		"the mask is another host's": {
			have:       []session.Record{made(session.UDP, 1, mask, 0, 0, time.Minute)},
			add:        []session.Record{made(session.UDP, 2, mask, 0, 0, time.Minute), made(session.UDP, 3, other, 0, 0, time.Minute)},
			want:       []session.Record{made(session.UDP, 1, mask, 0, 0, time.Minute), made(session.UDP, 3, other, 0, 0, time.Minute)},
			collisions: 1,
		},
		"the host has another mask, and the session": {
			have:       []session.Record{made(session.UDP, 1, mask, 0, 0, time.Minute)},
			add:        []session.Record{made(session.UDP, 1, other, 0, 0, 2*time.Minute)},
			want:       []session.Record{made(session.UDP, 1, mask, 0, 0, time.Minute)},
			collisions: 1,
		},
		"the host has another mask, and not the session": {
			have:       []session.Record{made(session.TCP, 1, mask, session.Established, est, time.Hour)},
			add:        []session.Record{elsewhere},
			want:       []session.Record{made(session.TCP, 1, mask, session.Established, est, time.Hour), moved},
			collisions: 1,
		},
		"no time left": {add: []session.Record{made(session.UDP, 1, mask, 0, 0, 0)}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "4.1.15", nil)
			if err := b.Add(entries(t, session.Packed40, c.have...)); err != nil {
				t.Fatal(err)
			}
			if err := b.Add(entries(t, session.Packed40, c.add...)); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(len(c.want), b.Len()); diff != "" {
				t.Errorf("sessions (-want +got):\n%s", diff)
			}
			for _, want := range c.want {
				got, _ := b.Session(want.Key())
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("session (-want +got):\n%s", diff)
				}
			}
			if b.Collisions() != c.collisions {
				t.Errorf("%d collisions, want %d", b.Collisions(), c.collisions)
			}
			if len(b.reports) > 0 {
				t.Error("the module reported a session that it was given")
			}
		})
	}
}

func TestAddFails(t *testing.T) {
	var list []session.Record
	for n := range 40 {
		list = append(list, made(session.UDP, n, netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(2000+n)).String(), 0, 0, time.Minute))
	}
	for name, c := range map[string]struct {
		change func(*Module)
		want   error
		least  int
		most   int
	}{
		"memory":            {func(*Module) {}, nil, 40, 40},
		"no memory":         {func(m *Module) { m.NoMemory = 1 }, ErrNoMemory, 0, 0},
		"sometimes none":    {func(m *Module) { m.NoMemory = 0.5 }, ErrNoMemory, 5, 35},
		"the request fails": {func(m *Module) { m.RequestLoss = 1 }, ErrNoMemory, 0, 0},
		"no instance":       {(*Module).Remove, ErrNoInstance, 0, 0},
		"ss-enabled false":  {func(m *Module) { m.Globals.SSEnabled = false }, ErrNoInstance, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "4.1.15", nil)
			c.change(b.Module)
			if err := b.Add(entries(t, session.Packed40, list...)); err != c.want {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if n := b.Len(); n < c.least || n > c.most {
				t.Errorf("%d sessions, want %d to %d", n, c.least, c.most)
			}
		})
	}
	b := newBench(t, "4.1.12", nil)
	if err := b.Add(entries(t, session.Packed40, list[0])); err != nil || b.Garbage() != 1 || b.Len() != 0 {
		t.Errorf("another version's format: error %v, %d entries of garbage, %d sessions", err, b.Garbage(), b.Len())
	}
}

func TestPages(t *testing.T) {
	b := newBench(t, "4.1.15", nil)
	for n := range 60 {
		b.open(session.TCP, n)
	}
	b.open(session.UDP, 100)
	first, more, err := b.Page(nil, session.TCP, nil)
	if err != nil || !more || len(first) != PageLen {
		t.Fatalf("first page: %d sessions, more %v, error %v", len(first), more, err)
	}
	last := first[len(first)-1]
	second, more, _ := b.Page(nil, session.TCP, &last)
	if !more || len(second) != PageLen {
		t.Errorf("second page: %d sessions, more %v", len(second), more)
	}
	// The page behind a session stays the same after the session has ended, except for sessions removed from that page.
	for _, r := range []session.Record{last, second[3]} {
		if err := b.RemoveBIB(session.TCP, r.Src4()); err != nil {
			t.Fatal(err)
		}
	}
	again, _, _ := b.Page(nil, session.TCP, &last)
	want := append(append([]session.Record{}, second[:3]...), second[4:]...)
	if diff := cmp.Diff(want, again[:PageLen-1]); diff != "" {
		t.Errorf("second page after two sessions have gone (-want +got):\n%s", diff)
	}
	if rest, more, _ := b.Page(nil, session.TCP, &again[PageLen-1]); more || len(rest) != 60-2*PageLen-1 {
		t.Errorf("last page: %d sessions, more %v", len(rest), more)
	}
	records := b.Records()
	for i := range records[:len(records)-2] { // the last one is UDP's
		if a, b := placeOf(&records[i]), placeOf(&records[i+1]); string(a[:]) >= string(b[:]) {
			t.Fatalf("sessions %d and %d are out of order", i, i+1)
		}
	}
}

func TestLookup(t *testing.T) {
	b := newBench(t, "4.1.15", nil)
	r := b.open(session.UDP, 1)
	if got, there, err := b.Lookup(&r); !there || err != nil || got.Key() != r.Key() {
		t.Errorf("there %v, error %v", there, err)
	}
	setMask(&r, netip.MustParseAddrPort("198.51.100.1:9"))
	if _, there, _ := b.Lookup(&r); there {
		t.Error("it was found under another mask")
	}
}

func TestRecreate(t *testing.T) {
	b := newBench(t, "4.1.15", nil)
	b.open(session.UDP, 1)
	if err := b.Update(joolnl.Change{Setting: joolnl.SSFlushDeadline, Value: 4}, joolnl.Change{Setting: joolnl.SSCapacity, Value: 7}); err != nil {
		t.Fatal(err)
	}
	if g := b.Globals; g.SSFlushDeadline != 4*time.Millisecond || g.SSCapacity != 7 {
		t.Errorf("settings after an update: %+v", g)
	}
	b.Remove()
	if _, err := b.Stats(); err != ErrNoInstance {
		t.Errorf("counters of an instance that does not exist: error %v", err)
	}
	if _, ok := b.Packet(opening(session.UDP, 2)); ok {
		t.Error("an instance that does not exist translated a packet")
	}
	b.Create()
	s, err := b.Stats()
	if err != nil || s.Get(joolnl.StatReceived6) != 0 || s.Get(joolnl.StatSessionsQueued) != 0 || b.Len() != 0 {
		t.Errorf("after it was created again: error %v, counters %v, %d sessions", err, s.Named(), b.Len())
	}
	if diff := cmp.Diff(DefaultModule(b.Version()).Globals.SSCapacity, b.Globals.SSCapacity); diff != "" {
		t.Errorf("ss-capacity (-want +got):\n%s", diff)
	}
}
