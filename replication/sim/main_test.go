package sim

import (
	"net/netip"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// version parses a module's version.
func version(t testing.TB, s string) joolnl.Version {
	t.Helper()
	v, err := joolnl.ParseVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// bench is one module without a host.
type bench struct {
	*Module
	t       testing.TB
	clock   *Clock
	ledger  *Ledger
	reports []int // sessions of each packet that has left
	bytes   [][]byte
}

// newBench makes a module whose timer fires at even seconds.
func newBench(t testing.TB, v string, change func(*joolnl.Globals)) *bench {
	c := DefaultModule(version(t, v))
	if change != nil {
		change(&c.Globals)
	}
	b := &bench{t: t, clock: NewClock(), ledger: NewLedger()}
	b.Module = NewModule(b.clock, b.ledger, 1, 0, c)
	b.clock.queue[0].at = moduleTimer
	b.Report = func(entries []byte) {
		b.reports = append(b.reports, c.Version.Format().CountList(entries))
		b.bytes = append(b.bytes, entries)
	}
	return b
}

// at lets time pass up to a moment after the start.
func (b *bench) at(d time.Duration) *bench {
	b.clock.Run(Epoch.Add(d))
	return b
}

// open has a packet of a new connection translated.
func (b *bench) open(p session.Proto, n int) session.Record {
	b.t.Helper()
	if _, ok := b.Packet(opening(p, n)); !ok {
		b.t.Fatalf("the module dropped the first packet of connection %d", n)
	}
	return b.record(p, n)
}

func (b *bench) record(p session.Proto, n int) session.Record {
	b.t.Helper()
	for _, r := range b.Records() {
		if host, _ := sides(&r); host == (endpoint{p, client(n)}) {
			return r
		}
	}
	b.t.Fatalf("the module does not hold connection %d", n)
	return session.Record{}
}

func client(n int) netip.AddrPort { return netip.AddrPortFrom(address(0, n), 1024) }

var web = netip.MustParseAddrPort("192.0.2.1:80")

func opening(p session.Proto, n int) Packet {
	return Packet{Proto: p, Flag: SYN, Src6: client(n), Dst4: web}
}

// entries writes records in a format.
func entries(t testing.TB, f session.Format, records ...session.Record) (list []byte) {
	t.Helper()
	for i := range records {
		var err error
		if list, err = f.AppendRecord(list, &records[i], netip.MustParsePrefix("64:ff9b::/96")); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// made is a session that no packet has opened.
func made(p session.Proto, host int, mask string, state session.State, timer session.Timer, left time.Duration) session.Record {
	return session.Session{Proto: p, State: state, Timer: timer, Src6: client(host), Src4: netip.MustParseAddrPort(mask), Dst4: web, Expires: left}.Record()
}

// small is a simulation of hosts that forward as upstream's joold does.
func small(t testing.TB, seed uint64, hosts int, v string) Config {
	c := DefaultConfig(seed, hosts, DefaultModule(version(t, v)), NewUpstream)
	for i := range c.Hosts {
		c.Hosts[i].Module.Globals.SSFlushDeadline = 4 * time.Millisecond
	}
	return c
}
