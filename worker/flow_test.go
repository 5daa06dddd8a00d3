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
	a, b := hosts(t)
	for _, v := range []joolnl.Version{jool419, jool4112, jool4115} {
		for _, group := range []netip.Addr{group6, group4} {
			for _, by := range []struct{ how, a, b string }{
				{"by name", "sync", "sync"}, {"by IPv6 address", "fd64::1", "fd64::2"}, {"by IPv4 address", "10.64.0.1", "10.64.0.2"},
			} {
				t.Run(fmt.Sprintf("Jool %v, %v, %s", v, group, by.how), func(t *testing.T) {
					specA, specB := specFor(a, group), specFor(b, group)
					specA.InInterface, specA.OutInterface = by.a, by.a
					specB.InInterface, specB.OutInterface = by.b, by.b
					hostA, hostB := newHost(t, v, specA).start(), newHost(t, v, specB).start()
					cross(t, v, hostA, hostB)
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
	a, b := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		hostA, hostB := newHost(t, jool4115, specFor(a, group)).start(), newHost(t, jool4115, specFor(b, group)).start()
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
	a, b := hosts(t)
	nstest.Veth(t,
		nstest.End{Namespace: a, Name: "other", Addrs: []string{"fd65::1/64", "10.65.0.1/24"}},
		nstest.End{Namespace: b, Name: "other", Addrs: []string{"fd65::2/64", "10.65.0.2/24"}})
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		// Another socket makes b a member of the group on its other interface.
		openPlain(t, b, group, port+1, "other")
		hostB := newHost(t, jool4115, specFor(b, group)).start()
		other, sync := openPlain(t, a, group, port, "other"), (*plain)(nil)
		for i := range 20 {
			other.send(entries(t, jool4115, 100+i, 1))
		}
		other.Close()
		sync = openPlain(t, a, group, port, "sync")
		want := entries(t, jool4115, 1, 4)
		sync.send(want)
		same(t, hostB.adds(1), want)
		eventually(t, "it is counted", func() bool { return hostB.counters.Stats().KernelSentPackets == 1 })
		if s, l := hostB.counters.Stats(), hostB.counters.Losses(); s.NetRcvdPackets != 1 || l != (Losses{}) {
			t.Errorf("%+v, %+v", s, l)
		}
		if peers := hostB.Peers(); len(peers) != 1 || peers[0].Address.Is4() != group.Is4() {
			t.Errorf("peers %v", peers)
		}
	})
}

func TestTTL(t *testing.T) {
	a, b := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		receiver := openPlain(t, b, group, port, "sync")
		for _, ttl := range []int{1, 7, 255} {
			spec := specFor(a, group)
			spec.TTL = ttl
			h := newHost(t, jool4115, spec).start()
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
	a, _ := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		for _, reuse := range []bool{false, true} {
			spec := specFor(a, group)
			spec.ReuseAddr = reuse
			first := newHost(t, jool4115, spec).start()
			spec.Instance = "second"
			second := first.beside(spec)
			err := second.tryStart()
			if reuse {
				if err != nil {
					t.Errorf("reuseaddr 1: %v", err)
				}
			} else {
				wantError(t, err, false, fmt.Sprint(group), fmt.Sprint(port), fmt.Sprintf("%q", a), "address already in use", "reuseaddr")
			}
			second.stop()
			first.stop()
		}
	})
}

// TestBuffers checks that the sockets' receive buffers can be larger than the system's limit.
func TestBuffers(t *testing.T) {
	a, _ := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		spec := specFor(a, group)
		spec.ReceiveBuffer = 32 << 20
		h := newHost(t, jool4115, spec).start()
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
	a, b := hosts(t)
	c, d := hosts(t)
	first := newHost(t, jool4115, specFor(a, group6)).start()
	all := []*host{first}
	for _, ns := range []string{b, c, d} {
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
	a, b := hosts(t)
	inner := nstest.New(t)
	spec := specFor(inner, group6)
	spec.NetNamespace = a
	hostA, hostB := newHost(t, jool4115, spec).start(), newHost(t, jool4115, specFor(b, group6)).start()
	cross(t, jool4115, hostA, hostB)
	cross(t, jool4115, hostB, hostA)
	nstest.Delete(t, a)
	hostA.Check()
	wantError(t, hostA.end(), true, fmt.Sprintf("namespace %q", a))
}

// TestAckWithoutNetwork sets the link down: the worker acknowledges reports that it cannot send.
func TestAckWithoutNetwork(t *testing.T) {
	a, _ := hosts(t)
	bothFamilies(t, func(t *testing.T, group netip.Addr) {
		h := newHost(t, jool4115, specFor(a, group)).start()
		nstest.IP(t, a, "link set sync down")
		defer nstest.IP(t, a, "link set sync up", "address replace fd64::1/64 dev sync nodad")
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
	a, _ := hosts(t)
	h := newHost(t, jool4115, specFor(a, group6))
	h.log.panics = "could not be sent"
	h.start()
	h.instance.Wait(t, joolnl.JooldAck, 1)
	nstest.IP(t, a, "link set sync down")
	h.instance.Multicast(entries(t, jool4115, 1, 1))
	if err := h.end(); err == nil || !strings.Contains(err.Error(), "could not be sent") {
		t.Errorf("the worker ended with %v", err)
	}
	h.instance.Wait(t, joolnl.JooldAck, 2)
}
