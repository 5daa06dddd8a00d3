package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// wires is a network of hosts that note what arrives.
type wires struct {
	*Network
	clock *Clock
	got   [][]int // by host: the numbers of datagrams
	from  [][]netip.AddrPort
}

func newWires(hosts int, source netip.AddrPort) *wires {
	w := &wires{clock: NewClock(), got: make([][]int, hosts), from: make([][]netip.AddrPort, hosts)}
	w.Network = NewNetwork(w.clock, NewTrace(w.clock, nil), 1, NetworkConfig{Delay: Span{time.Millisecond, 2 * time.Millisecond}})
	for i := range hosts {
		at := source
		if !source.IsValid() {
			at = netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes(), uint16(i))
		}
		w.Attach(at, 0, func(d Datagram) (kept bool) {
			w.got[i] = append(w.got[i], int(binary.BigEndian.Uint32(d.Data)))
			w.from[i] = append(w.from[i], d.From)
			return true
		})
	}
	return w
}

// send sends n numbered datagrams of a host, a millisecond apart.
func (w *wires) send(from, n int) {
	for i := range n {
		w.Send(from, binary.BigEndian.AppendUint32(nil, uint32(i)))
		w.clock.Run(w.clock.Now().Add(time.Millisecond))
	}
	w.clock.Run(w.clock.Now().Add(time.Second))
}

func numbers(n int) (all []int) {
	for i := range n {
		all = append(all, i)
	}
	return all
}

func TestNetworkWithoutFaults(t *testing.T) {
	w := newWires(3, netip.AddrPort{})
	w.send(0, 1000)
	if diff := cmp.Diff([][]int{nil, numbers(1000), numbers(1000)}, w.got); diff != "" {
		t.Errorf("datagrams (-want +got):\n%s", diff)
	}
}

func TestImpairments(t *testing.T) {
	type counts struct{ least, most int }
	for name, c := range map[string]struct {
		i       Impairment
		want    [3]counts // datagrams of host 0's 1000
		ordered bool
	}{
		"loss on one link":  {Impairment{From: 0, To: 1, Loss: 0.3}, [3]counts{1: {650, 750}, 2: {1000, 1000}}, true},
		"loss everywhere":   {Impairment{From: -1, To: -1, Loss: 0.5}, [3]counts{1: {450, 550}, 2: {450, 550}}, true},
		"duplicates":        {Impairment{From: 0, To: 2, Duplicate: 0.2}, [3]counts{1: {1000, 1000}, 2: {1150, 1250}}, false},
		"reordering":        {Impairment{From: 0, To: 1, Reorder: 0.2}, [3]counts{1: {1000, 1000}, 2: {1000, 1000}}, false},
		"one way":           {Impairment{From: 0, To: 1, Cut: true}, [3]counts{2: {1000, 1000}}, true},
		"the other way":     {Impairment{From: 1, To: 0, Cut: true}, [3]counts{1: {1000, 1000}, 2: {1000, 1000}}, true},
		"a partition":       {Impairment{Side: 0b011}, [3]counts{1: {1000, 1000}}, true},
		"delay, kept order": {Impairment{From: -1, To: -1, Delay: 300 * time.Millisecond}, [3]counts{1: {1000, 1000}, 2: {1000, 1000}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWires(3, netip.AddrPort{})
			w.Begin(&c.i)
			w.send(0, 1000)
			ordered := true
			for host, got := range w.got {
				if n := len(got); n < c.want[host].least || n > c.want[host].most {
					t.Errorf("%d datagrams for host %d, want %d to %d", n, host, c.want[host].least, c.want[host].most)
				}
				ordered = ordered && slices.IsSorted(got)
			}
			if ordered != c.ordered {
				t.Errorf("in order: %v, want %v", ordered, c.ordered)
			}
			w.End(&c.i)
			w.got = make([][]int, 3)
			w.send(0, 10)
			if diff := cmp.Diff([][]int{nil, numbers(10), numbers(10)}, w.got); diff != "" {
				t.Errorf("datagrams after the fault (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGroupsAndSegments(t *testing.T) {
	w := newWires(3, netip.AddrPort{})
	w.Join(1, 7)
	w.Plug(2, 1)
	w.send(0, 3)
	w.Join(1, 0)
	w.Plug(2, 0)
	w.SetDown(2, true)
	w.send(0, 2)
	if diff := cmp.Diff([][]int{nil, {0, 1}, nil}, w.got); diff != "" {
		t.Errorf("datagrams (-want +got):\n%s", diff)
	}
}

func TestOneSource(t *testing.T) {
	source := netip.MustParseAddrPort("[fe80::1]:6464")
	w := newWires(3, source)
	w.send(1, 1)
	w.send(2, 1)
	if diff := cmp.Diff([]netip.AddrPort{source, source}, w.from[0], cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
}

func TestContact(t *testing.T) {
	w := newWires(2, netip.AddrPort{})
	cut := &Impairment{From: 0, To: 1, Cut: true}
	w.clock.Run(Epoch.Add(time.Second))
	w.Begin(cut)
	if !w.Contact(0, 1).Connected.IsZero() || w.Contact(1, 0).Connected != Epoch {
		t.Errorf("contacts while one link is cut: %+v, %+v", w.Contact(0, 1), w.Contact(1, 0))
	}
	w.clock.Run(Epoch.Add(20 * time.Second))
	w.End(cut)
	w.send(0, 1)
	c := w.Contact(0, 1)
	if c.Connected != Epoch.Add(20*time.Second) || c.HeardFrom != c.Heard || c.Heard.Before(c.Connected) {
		t.Errorf("contact after the fault: %+v", c)
	}
	if _, ok := w.Knows(0, 1, Epoch.Add(20*time.Second)); ok {
		t.Error("a datagram that was sent at a moment is not one sent after it")
	}
	if at, ok := w.Knows(0, 1, Epoch.Add(19*time.Second)); !ok || at != c.Heard {
		t.Errorf("known at %v, %v, want %v", at, ok, c.Heard)
	}
}

// TestDroppedIsNotHeard has a host without room for a datagram: it has not heard the sender.
func TestDroppedIsNotHeard(t *testing.T) {
	clock := NewClock()
	w := NewNetwork(clock, NewTrace(clock, nil), 1, NetworkConfig{Delay: Span{time.Millisecond, 2 * time.Millisecond}})
	room := false
	for i := range 2 {
		w.Attach(netip.AddrPortFrom(netip.IPv6LinkLocalAllNodes(), uint16(i)), 0, func(Datagram) (kept bool) { return room })
	}
	for _, room = range []bool{false, true} {
		before := clock.Now().Add(-1)
		w.Send(0, []byte{1})
		clock.Run(clock.Now().Add(time.Second))
		if _, knows := w.Knows(0, 1, before); knows != room || w.Contact(0, 1).Heard.IsZero() == room {
			t.Errorf("room %v: knows %v, heard %v", room, knows, w.Contact(0, 1).Heard)
		}
	}
}
