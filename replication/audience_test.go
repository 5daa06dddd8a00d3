package replication

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/syncwire"
)

// TestAudience has peers cause messages: those for one peer name it, those of a full sync name the peers that it is for, and a HELLO
// is for all.
func TestAudience(t *testing.T) {
	e := newHost(recordsAt(3 * syncwire.MaxBulk)...)
	e.host.Listen(CauseStart, e.now)
	e.host.Tick(e.now)
	e.says(2, &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Sessions: 500})
	e.says(4, &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl, Sessions: 500})       // two live datagrams are missing
	e.says(4, &syncwire.Nack{To: e.host.Knowledge.Self(), Ranges: []syncwire.Range{{From: 7, To: 7}}}) // which this host has never sent
	e.says(4, &syncwire.Solicit{To: e.host.Knowledge.Self()})
	for range 200 {
		e.now = e.now.Add(TransferTick)
		e.host.Tick(e.now)
		if e.read != nil {
			read := e.read
			e.read = nil
			read()
		}
		for len(e.posted) > 0 {
			fn := e.posted[0]
			e.posted = e.posted[1:]
			fn()
		}
	}
	seen := make(map[string]int)
	for i, m := range e.messages {
		want, name := []syncwire.ID{aPeer}, ""
		switch m.(type) {
		case *syncwire.Hello:
			want, name = nil, "HELLO"
		case *syncwire.Nack:
			name = "NACK"
		case *syncwire.Gone:
			name = "GONE"
		case *syncwire.Solicit:
			name = "SOLICIT"
		case *syncwire.Begin:
			name = "BEGIN"
		case *syncwire.Bulk:
			name = "BULK"
		case *syncwire.End:
			name = "END"
		}
		if seen[name]++; !slices.Equal(e.audiences[i], want) {
			t.Errorf("%s for %v, want %v", name, e.audiences[i], want)
		}
	}
	for _, name := range []string{"HELLO", "NACK", "GONE", "SOLICIT", "BEGIN", "BULK", "END"} {
		if seen[name] == 0 {
			t.Errorf("no %s was sent: %v", name, seen)
		}
	}
}

// TestRestrict removes one of two peers from the list: it is no longer live, and is again once it is listed and heard.
func TestRestrict(t *testing.T) {
	e := newHost()
	e.host.Tick(e.now)
	hello := syncwire.Message{Sender: 0x77, Body: &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl}}
	e.host.Message(otherAddress, hello.Append(nil), e.now, e.now)
	e.says(0, &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: ttl})
	live := func() (ids []syncwire.ID) {
		for _, known := range e.host.Peers.Live(e.now) {
			ids = append(ids, known.ID)
		}
		return ids
	}
	shown := func() int { return len(e.host.Peers.AppendInfo(nil)) }
	if n := len(live()); n != 2 || shown() != 2 {
		t.Fatalf("%d peers are live, %d are shown", n, shown())
	}
	e.host.Restrict(func(a netip.Addr) bool { return a != otherAddress }, e.now)
	if got := live(); !slices.Equal(got, []syncwire.ID{aPeer}) || shown() != 1 {
		t.Errorf("live peers %v, %d are shown", got, shown())
	}
	e.now = e.now.Add(time.Second)
	e.host.Restrict(func(netip.Addr) bool { return true }, e.now)
	if n := len(live()); n != 1 {
		t.Errorf("%d peers are live before they are heard", n)
	}
	e.host.Message(otherAddress, hello.Append(nil), e.now, e.now)
	if n := len(live()); n != 2 || shown() != 2 {
		t.Errorf("%d peers are live, %d are shown", n, shown())
	}
}
