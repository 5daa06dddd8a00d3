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

// onThread has fn called on the worker's thread, without the worker's guard.
func (h *host) onThread(fn func(p *pumps)) {
	h.t.Helper()
	h.mu.Lock()
	p := h.running
	h.mu.Unlock()
	if err := p.thread.Do(func() { fn(p) }); err != nil {
		h.t.Fatal(err)
	}
}

// TestPanicAnywhere has a worker panic in each place where something of it runs.
// Its Run ends with the stack, everything of it is closed, and the worker beside
// it on the same thread has not noticed.
func TestPanicAnywhere(t *testing.T) {
	a, b := hosts(t)
	peer := openPlain(t, a, group6, port, "sync")
	cries := openPlain(t, a, group6, port+1, "sync")
	spec := specFor(b, group6)
	spec.Instance, spec.Port, spec.Sequence = "other", port+1, true
	neighbour := newHost(t, jool4115, spec).start()
	fds := countDir(t, "/proc/self/fd")
	for _, c := range []struct {
		where string
		// cause makes it panic; stack is a function in the panic's stack.
		cause func(h *host)
		stack string
	}{
		{"a report of the kernel's", func(h *host) {
			h.log.panicAt("makes no sense")
			h.instance.MulticastRaw([]byte{1})
		}, "(*pumps).fromKernel"},
		{"an error of the kernel's", func(h *host) {
			h.onThread(func(p *pumps) { p.conn.OnError = func(uint32, error) { panic("no error") } })
			h.instance.Set(func(i *workertest.Instance) {
				i.Refuse = func(r workertest.Request) *joolnl.Error {
					if r.Op != joolnl.JooldAdd {
						return nil
					}
					return &joolnl.Error{Code: unix.EINVAL, Text: "no"}
				}
			})
			peer.send(entries(t, jool4115, 1, 2))
		}, "(*Conn).ReadErrors"},
		{"a datagram", func(h *host) {
			h.log.panicAt("malformed")
			peer.send([]byte("no sessions"))
		}, "(*pumps).fromNetwork"},
		{"the timer", func(h *host) {
			h.onThread(func(p *pumps) { p.coalesce = nil; p.wakeAt(time.Now()) })
		}, "(*pumps).tick"},
		{"something posted", func(h *host) {
			h.onThread(func(p *pumps) { p.post(func() { panic("posted") }) })
		}, "(*pumps).post"},
		{"something beside the pumps", func(h *host) {
			h.onThread(func(p *pumps) { p.background(func() { panic("beside") }) })
		}, "(*pumps).background"},
		{"an answer", func(h *host) {
			err := h.onPumps(context.Background(), func(*pumps) error { panic("asked") })
			if err == nil || err.Error() != "panic: asked" {
				t.Errorf("who asks gets %v", err)
			}
		}, "(*Worker).onPumps"},
		{"another configuration", func(h *host) {
			spec := h.spec()
			spec.Port += 5
			h.env.Threads = nil // where the socket for it would be opened
			err := h.Reconfigure(spec)
			if err == nil || !strings.HasPrefix(err.Error(), "panic: ") {
				t.Errorf("who asks gets %v", err)
			}
		}, "(*Worker).Reconfigure"},
	} {
		t.Run(c.where, func(t *testing.T) {
			victim := neighbour.beside(specFor(b, group6))
			victim.start()
			c.cause(victim)
			err := victim.end()
			if err == nil || errors.As(err, new(*Missing)) || !strings.HasPrefix(err.Error(), "panic: ") {
				t.Fatalf("the worker ended with %v", err)
			}
			if !strings.Contains(err.Error(), "goroutine ") || !strings.Contains(err.Error(), c.stack) {
				t.Errorf("the error has no stack with %s: %v", c.stack, err)
			}
			eventually(t, "all that the victim had is closed", func() bool {
				return neighbour.kernel.Connections() == 1 && countDir(t, "/proc/self/fd") == fds
			})
			before := neighbour.instance.Count(joolnl.JooldAdd)
			cries.send(entries(t, jool4115, 100, 2))
			neighbour.adds(before + 1)
		})
	}
}

// TestBlockedRequest: a kernel that does not answer one worker keeps no other's
// from its ACKs. Workers of one namespace share a thread, but there the kernel has
// them wait for each other too: it carries out one request at a time.
func TestBlockedRequest(t *testing.T) {
	a, b := hosts(t)
	blocked := newHost(t, jool4115, specFor(a, group6)).start()
	other := newHost(t, jool4115, specFor(b, group6))
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
		t.Fatal("the other's request was not blocked meanwhile")
	default:
	}
	free()
	<-served
}
