package worker

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/worker/workertest"
)

// TestSessionsCross reports sessions on one host: the other host's module gets them.
func TestSessionsCross(t *testing.T) {
	bed := newTestbed(t, 2)
	for _, v := range []joolnl.Version{jool419, jool4112, jool4115} {
		for _, group := range []netip.Addr{group6, group4} {
			for _, by := range []struct{ how, a, b string }{
				{"by name", "sync", "sync"}, {"by IPv6 address", "fd64::1", "fd64::2"}, {"by IPv4 address", "10.64.0.1", "10.64.0.2"},
			} {
				bed.run(fmt.Sprintf("Jool %v, %v, %s", v, group, by.how), func(t *testing.T, bed *testbed) {
					bed.group = group
					hostA, hostB := bed.host(0).of(v), bed.host(1).of(v)
					hostA.current.InInterface, hostA.current.OutInterface = by.a, by.a
					hostB.current.InInterface, hostB.current.OutInterface = by.b, by.b
					cross(t, v, hostA.start(), hostB.start())
					cross(t, v, hostB, hostA)
				})
			}
		}
	}
}

func cross(t *testing.T, v joolnl.Version, from, to *host) {
	t.Helper()
	before, beforeTo, stored := from.counters.Stats(), to.counters.Stats(), to.instance.Count(joolnl.JooldAdd)
	acks := from.instance.Count(joolnl.JooldAck)
	var want [][]byte
	size := 0
	for i, n := range []int{1, 10, 3, 7} {
		list := entries(t, v, 10*i, n)
		if from.instance.Multicast(list) != 1 {
			t.Fatal("the worker does not receive the instance's multicasts")
		}
		want = append(want, list)
		size += len(list)
	}
	same(t, to.adds(stored + len(want))[stored:], want...)
	from.instance.Wait(t, joolnl.JooldAck, acks+len(want))
	sent := Stats{NetSentPackets: uint64(len(want)), NetSentBytes: uint64(size)}
	counts(t, from, before.Add(sent))
	got := Stats{NetRcvdPackets: uint64(len(want)), NetRcvdBytes: uint64(size), KernelSentPackets: uint64(len(want)), KernelSentBytes: uint64(size)}
	counts(t, to, beforeTo.Add(got))
	for _, h := range []*host{from, to} {
		if losses := h.counters.Losses(); losses != (Losses{}) {
			t.Errorf("losses %+v", losses)
		}
	}
	eventually(t, "the sender is among the receiver's peers", func() bool { return len(to.Peers()) == 1 })
}

// counts waits until a host's counters are equal to want.
func counts(t *testing.T, h *host, want Stats) {
	t.Helper()
	eventually(t, fmt.Sprintf("counters of\n%v", want), func() bool { return h.counters.Stats() == want })
}

// TestOwnDatagramsAreNotHeard makes a worker send a datagram, and then its peer. The worker receives only that of the peer.
func TestOwnDatagramsAreNotHeard(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		hostA, hostB := bed.host(0).start(), bed.host(1).start()
		mine, theirs := entries(t, jool4115, 1, 2), entries(t, jool4115, 5, 3)
		hostA.instance.Multicast(mine)
		same(t, hostB.adds(1), mine)
		hostB.instance.Multicast(theirs)
		same(t, hostA.adds(1), theirs)
		if got := hostA.counters.Stats().NetRcvdPackets; got != 1 {
			t.Errorf("%d datagrams received, one was sent by another", got)
		}
	})
}

// TestInInterfaceOnly sends datagrams to a host through two links. The host has members of the group on both, but the worker
// processes only the datagrams on its own interface.
func TestInInterfaceOnly(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.connect(0, 1, "other", 65)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		// Another socket makes b a member of the group on its other interface.
		bed.peerAt(1, bed.group, port+1, "other")
		hostB := bed.host(1).start()
		other, sync := bed.peerAt(0, bed.group, port, "other"), (*peer)(nil)
		for i := range 20 {
			other.send(entries(t, jool4115, 100+i, 1))
		}
		other.Close()
		sync = bed.peer(0)
		want := entries(t, jool4115, 1, 4)
		sync.send(want)
		same(t, hostB.adds(1), want)
		eventually(t, "it is counted", func() bool { return hostB.counters.Stats().KernelSentPackets == 1 })
		if s, l := hostB.counters.Stats(), hostB.counters.Losses(); s.NetRcvdPackets != 1 || l != (Losses{}) {
			t.Errorf("%+v, %+v", s, l)
		}
		if peers := hostB.Peers(); len(peers) != 1 || peers[0].Address.Is4() != bed.group.Is4() {
			t.Errorf("peers %v", peers)
		}
	})
}

func TestTTL(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		receiver := bed.peer(1)
		for _, ttl := range []int{1, 7, 255} {
			h := bed.host(0)
			h.current.TTL = ttl
			h.start()
			want := entries(t, jool4115, ttl, 2)
			h.instance.Multicast(want)
			got, gotTTL := receiver.receive()
			if gotTTL != ttl || !bytes.HasPrefix(got, want) {
				t.Errorf("ttl %d, want %d; %x", gotTTL, ttl, got)
			}
			h.stop()
		}
	})
}

func TestReuseAddr(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		for _, reuse := range []bool{false, true} {
			first := bed.host(0)
			first.current.ReuseAddr = reuse
			first.start()
			spec := first.spec()
			spec.Instance = "second"
			second := first.beside(spec)
			err := second.tryStart()
			if reuse {
				if err != nil {
					t.Errorf("reuseaddr 1: %v", err)
				}
			} else {
				wantError(t, err, false, fmt.Sprint(bed.group), fmt.Sprint(port), fmt.Sprintf("%q", bed.ns[0]), "address already in use", "reuseaddr")
			}
			second.stop()
			first.stop()
		}
	})
}

// TestBuffers checks that the sockets' receive buffers can be larger than the system's limit.
func TestBuffers(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		h := bed.host(0)
		h.current.ReceiveBuffer = 32 << 20
		h.start()
		spec := h.spec()
		p := h.running
		for name, fd := range map[string]int{"network": p.socket.fd, "netlink": p.conn.Receiver()} {
			// The kernel doubles the number for its own bookkeeping.
			if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF); n != 2*spec.ReceiveBuffer || err != nil {
				t.Errorf("%s socket: a receive buffer of %d, %v", name, n, err)
			}
		}
		if dials := h.kernel.Dials(); len(dials) != 1 || dials[0] != (workertest.Dial{Instance: "nat", ReceiveBuffer: spec.ReceiveBuffer}) {
			t.Errorf("dialled %v", dials)
		}
	})
}

// TestNamespacesDoNotMix runs workers for four instances of the same name in four namespaces. Each instance gets only the
// sessions of its peer.
func TestNamespacesDoNotMix(t *testing.T) {
	bed, other := newTestbed(t, 2), newTestbed(t, 2)
	first := bed.host(0).start()
	all := []*host{first}
	for _, ns := range []string{bed.ns[1], other.ns[0], other.ns[1]} {
		all = append(all, first.beside(specFor(ns, group6)).start())
	}
	const rounds = 50
	var ab, cd [][]byte
	for i := range rounds {
		ab, cd = append(ab, entries(t, jool4115, 10*i, 3)), append(cd, entries(t, jool4115, 1000+10*i, 5))
		all[0].instance.Multicast(ab[i])
		all[2].instance.Multicast(cd[i])
	}
	same(t, all[1].adds(rounds), ab...)
	same(t, all[3].adds(rounds), cd...)
	for i, sent := range []int{rounds, 0, rounds, 0} {
		all[i].instance.Wait(t, joolnl.JooldAck, sent+1)
		if adds := all[i].instance.Count(joolnl.JooldAdd); adds != rounds-sent {
			t.Errorf("worker %d: %d additions", i, adds)
		}
	}
}

// TestNetNamespace runs a worker whose network socket is in another namespace than its instance.
func TestNetNamespace(t *testing.T) {
	bed := newTestbed(t, 2)
	hostA, hostB := bed.host(bed.add()), bed.host(1).start()
	hostA.current.NetNamespace = bed.ns[0]
	cross(t, jool4115, hostA.start(), hostB)
	cross(t, jool4115, hostB, hostA)
	nstest.Delete(t, bed.ns[0])
	hostA.Check()
	wantError(t, hostA.end(), true, fmt.Sprintf("namespace %q", bed.ns[0]))
}

// TestAckWithoutNetwork sets the link down: the worker acknowledges reports that it cannot send.
func TestAckWithoutNetwork(t *testing.T) {
	bed := newTestbed(t, 2)
	bed.bothFamilies(func(t *testing.T, bed *testbed) {
		h := bed.host(0).start()
		nstest.IP(t, bed.ns[0], "link set sync down")
		defer nstest.IP(t, bed.ns[0], "link set sync up", "address replace fd64::1/64 dev sync nodad")
		for i := range 3 {
			h.instance.Multicast(entries(t, jool4115, i, 1))
		}
		h.instance.Wait(t, joolnl.JooldAck, 4)
		eventually(t, "the errors are counted", func() bool { return h.counters.Losses().SendErrors == 3 })
		if s := h.counters.Stats(); s != (Stats{}) {
			t.Errorf("counted as sent: %v", s)
		}
		if n := h.log.count("could not be sent"); n != 1 {
			t.Errorf("%d lines in the log, want 1", n)
		}
	})
}

// TestAckComesFirst makes the worker panic when it sends a datagram: it has sent the ACK before that.
func TestAckComesFirst(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0)
	h.log.panics = "could not be sent"
	h.start()
	h.instance.Wait(t, joolnl.JooldAck, 1)
	nstest.IP(t, bed.ns[0], "link set sync down")
	h.instance.Multicast(entries(t, jool4115, 1, 1))
	if err := h.end(); err == nil || !strings.Contains(err.Error(), "could not be sent") {
		t.Errorf("the worker ended with %v", err)
	}
	h.instance.Wait(t, joolnl.JooldAck, 2)
}
