package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/worker/workertest"
)

// TestPanicAnywhere makes a worker panic in each kind of function that it runs. Its Run returns an error with the stack and
// closes all descriptors, and another worker on the same thread continues.
func TestPanicAnywhere(t *testing.T) {
	bed := newTestbed(t, 2)
	peer := bed.peer(0)
	cries := bed.peerAt(0, bed.group, port+1, "sync")
	neighbour := bed.host(1)
	neighbour.current.Port, neighbour.current.Sequence = port+1, true
	neighbour.start()
	fds := countDir(t, "/proc/self/fd")
	for _, c := range []struct {
		where string
		// cause makes it panic; stack is a function in the panic's stack.
		cause func(h *host)
		stack string
	}{
		{"a report from the module", func(h *host) {
			h.log.panicAt("malformed netlink message")
			h.instance.MulticastRaw([]byte{1})
		}, "(*pumps).fromKernel"},
		{"an error from the module", func(h *host) {
			h.onThread(func(p *pumps) { p.conn.OnError = func(uint32, error) { panic("no error") } })
			h.instance.Set(func(i *workertest.Instance) {
				i.Refuse = refusing(joolnl.JooldAdd, &joolnl.Error{Code: unix.EINVAL, Text: "no"})
			})
			peer.send(entries(t, jool4115, 1, 2))
		}, "(*Conn).ReadErrors"},
		{"a datagram", func(h *host) {
			h.log.panicAt("malformed")
			peer.send([]byte("no sessions"))
		}, "(*pumps).fromNetwork"},
		{"the timer", func(h *host) {
			h.onThread(func(p *pumps) { p.host.Coalescer = nil; p.wakeAt(time.Now()) })
		}, "(*pumps).tick"},
		{"a posted function", func(h *host) {
			h.onThread(func(p *pumps) { p.post(func() { panic("posted") }) })
		}, "(*pumps).post"},
		{"a background function", func(h *host) {
			h.onThread(func(p *pumps) { p.background(func() { panic("beside") }) })
		}, "(*pumps).background"},
		{"a request from another goroutine", func(h *host) {
			err := h.onPumps(context.Background(), func(*pumps) error { panic("asked") })
			if err == nil || err.Error() != "panic: asked" {
				t.Errorf("onPumps: %v", err)
			}
		}, "(*Worker).onPumps"},
		{"another configuration", func(h *host) {
			spec := h.spec()
			spec.Port += 5
			h.env.Threads = nil // opening the new socket panics
			err := h.Reconfigure(spec)
			if err == nil || !strings.HasPrefix(err.Error(), "panic: ") {
				t.Errorf("Reconfigure: %v", err)
			}
		}, "(*Worker).Reconfigure"},
	} {
		bed.run(c.where, func(t *testing.T, bed *testbed) {
			spec := specFor(bed.ns[1], group6)
			spec.Instance = "other"
			victim := neighbour.beside(spec)
			victim.start()
			c.cause(victim)
			err := victim.end()
			if err == nil || errors.As(err, new(*Missing)) || !strings.HasPrefix(err.Error(), "panic: ") {
				t.Fatalf("the worker ended with %v", err)
			}
			if !strings.Contains(err.Error(), "goroutine ") || !strings.Contains(err.Error(), c.stack) {
				t.Errorf("the error has no stack with %s: %v", c.stack, err)
			}
			eventually(t, "the worker's descriptors are closed", func() bool {
				return neighbour.kernel.Connections() == 1 && countDir(t, "/proc/self/fd") == fds
			})
			before := neighbour.instance.Count(joolnl.JooldAdd)
			cries.send(entries(t, jool4115, 100, 2))
			neighbour.adds(before + 1)
		})
	}
}

// TestBlockedRequest blocks a request of one worker in the kernel. A worker in another namespace still sends its ACKs. (Workers
// in one namespace share a thread and wait for each other, but the kernel also processes one request after the other.)
func TestBlockedRequest(t *testing.T) {
	bed := newTestbed(t, 2)
	blocked := bed.host(0).start()
	other := bed.host(1)
	other.pool = blocked.pool
	other.init(other.spec())
	other.start()

	in, release := make(chan struct{}), make(chan struct{})
	var once, freed sync.Once
	free := func() { freed.Do(func() { close(release) }) }
	t.Cleanup(free)
	blocked.instance.Set(func(i *workertest.Instance) {
		i.Refuse = func(workertest.Request) *joolnl.Error {
			once.Do(func() { close(in) })
			<-release
			return nil
		}
	})
	blocked.Check()
	<-in
	before := other.instance.Count(joolnl.JooldAck)
	for i := range 10 {
		other.instance.Multicast(entries(t, jool4115, i, 1))
		eventually(t, "the ACK", func() bool { return other.instance.Count(joolnl.JooldAck) > before+i })
	}
	served := make(chan struct{})
	blocked.mu.Lock()
	thread := blocked.running.thread
	blocked.mu.Unlock()
	if err := thread.Post(func() { close(served) }); err != nil {
		t.Fatal(err)
	}
	select {
	case <-served:
		t.Fatal("the first worker's request was not blocked meanwhile")
	default:
	}
	free()
	<-served
}
