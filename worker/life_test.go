package worker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/worker/workertest"
)

// TestPanic makes one of two workers on a thread panic between two datagrams. The other worker continues, and no session of
// the first is sent by it.
func TestPanic(t *testing.T) {
	bed := newTestbed(t, 2)
	sender := bed.peer(0)
	victim := bed.host(1)
	victim.log.panics = "malformed"
	victim.start()
	spec := victim.spec()
	spec.Instance, spec.Port = "other", port+1
	neighbour := victim.beside(spec).start()
	cries := bed.peerAt(0, bed.group, port+1, "sync")

	victim.blocked(func() {
		sender.send(entries(t, jool4115, 1, 5)) // queued when the worker panics
		sender.send([]byte("no sessions"))
		sender.send(entries(t, jool4115, 50, 5))
	})
	err := victim.end()
	if err == nil || errors.As(err, new(*Missing)) {
		t.Fatalf("the worker ended with %v", err)
	}
	for _, want := range []string{"panic: the test's logger panics at: malformed\n", "(*pumps).take", "in.go:"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q: %v", want, err)
		}
	}
	want := [][]byte{entries(t, jool4115, 100, 2), entries(t, jool4115, 200, 3)}
	for _, list := range want {
		cries.send(list)
	}
	same(t, neighbour.adds(len(want)), want...)
	neighbour.instance.Multicast(want[0])
	if got, _ := cries.receive(); len(got) < len(want[0]) {
		t.Errorf("%d bytes sent", len(got))
	}
	counts(t, neighbour, Stats{2, 200, 2, 200, 1, 80})
	if n := victim.instance.Count(joolnl.JooldAdd); n != 0 {
		t.Errorf("%d additions of the worker that panicked were sent, perhaps by another", n)
	}
	if victim.ModuleVersion() != "" || neighbour.ModuleVersion() != "4.1.15" {
		t.Errorf("module versions %q and %q", victim.ModuleVersion(), neighbour.ModuleVersion())
	}
}

type panicKernel struct{}

func (panicKernel) Dial(string, int) (*joolnl.Conn, error) { panic("no kernel") }

// TestPanicAtStart makes Dial panic, and then ready.
func TestPanicAtStart(t *testing.T) {
	bed := newTestbed(t, 2)
	fds := countDir(t, "/proc/self/fd")
	h := bed.host(0)
	h.env.Kernel = panicKernel{}
	err := h.Run(context.Background(), func() { t.Error("ready") })
	if err == nil || !strings.Contains(err.Error(), "no kernel") || !strings.Contains(err.Error(), "panicKernel.Dial") {
		t.Errorf("Run: %v", err)
	}
	h.env.Kernel = h.kernel
	err = h.Run(context.Background(), func() { panic("not ready") })
	if err == nil || !strings.Contains(err.Error(), "not ready") {
		t.Errorf("Run: %v", err)
	}
	eventually(t, "all descriptors are closed", func() bool { return countDir(t, "/proc/self/fd") <= fds })
}

// TestCycles starts and stops workers a thousand times.
func TestCycles(t *testing.T) {
	bed := newTestbed(t, 2)
	k := workertest.NewKernel(jool4115)
	k.Add(t, bed.ns[0], "nat")
	pool := nsthread.NewPool()
	var counters Counters
	cycle := func(n int) {
		for i := range n {
			spec := specFor(bed.ns[0], group6)
			if i%2 == 1 {
				spec = specFor(bed.ns[0], group4)
			}
			ctx, cancel := context.WithCancel(context.Background())
			w := New(spec, Env{Threads: pool, Kernel: k}, &counters)
			if err := w.Run(ctx, cancel); err != nil {
				t.Fatal(err)
			}
		}
	}
	cycle(20) // the Go runtime starts the threads that it needs
	gone := func() { eventually(t, "all connections are closed", func() bool { return k.Connections() == 0 }) }
	gone()
	fds, goroutines, threads := countDir(t, "/proc/self/fd"), runtime.NumGoroutine(), countDir(t, "/proc/self/task")
	begin := time.Now()
	cycle(1000)
	gone()
	t.Logf("1,000 cycles in %v", time.Since(begin))
	for _, c := range []struct {
		what  string
		base  int
		now   func() int
		slack int
	}{
		{"descriptors", fds, func() int { return countDir(t, "/proc/self/fd") }, 0},
		{"goroutines", goroutines, runtime.NumGoroutine, 0},
		// The Go runtime keeps threads that it has once started for blocking calls.
		{"threads", threads, func() int { return countDir(t, "/proc/self/task") }, 8},
	} {
		eventually(t, fmt.Sprintf("%s are as few as before, %d (now %d)", c.what, c.base, c.now()), func() bool { return c.now() <= c.base+c.slack })
	}
}

// TestNamespaceIsLetGo deletes a namespace after its worker has ended: the kernel must be able to free it.
func TestNamespaceIsLetGo(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0).start()
	h.stop()
	nstest.Delete(t, bed.ns[0])
	pool := nsthread.NewPool()
	th, err := pool.Get(bed.ns[1])
	if err != nil {
		t.Fatal(err)
	}
	defer th.Release()
	eventually(t, "the other end of its veth goes with it", func() (gone bool) {
		if err := th.Do(func() {
			_, err := os.Stat(fmt.Sprintf("/proc/%d/task/%d/net/dev_snmp6/sync", os.Getpid(), unix.Gettid()))
			gone = err != nil
		}); err != nil {
			t.Fatal(err)
		}
		return gone
	})
}

func TestKernelStatsAndAdvertise(t *testing.T) {
	bed := newTestbed(t, 2)
	ctx := context.Background()
	h := bed.host(0)
	h.instance.Stats = map[int]uint64{5: 40000, 76: 7, 78: 9, 30: 1}
	if _, err := h.KernelStats(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("before Run: %v", err)
	}
	if v := h.ModuleVersion(); v != "" {
		t.Errorf("before Run: %q", v)
	}
	h.start()
	stats, err := h.KernelStats(ctx)
	if err != nil || !maps.Equal(stats, map[string]uint64{"JSTAT_SESSIONS": 40000, "JSTAT_JOOLD_SSS_ENOSPC": 9, "JSTAT_JOOLD_SSS_SENT": 7}) {
		t.Errorf("%v, %v", stats, err)
	}
	all := make(map[string]uint64)
	if counters, err := h.ModuleCounters(ctx); err != nil {
		t.Error(err)
	} else {
		for i, name := range joolnl.CounterNames() {
			if n, ok := counters.Get(i); ok {
				all[name] = n
			}
		}
	}
	if diff := cmp.Diff(map[string]uint64{"JSTAT_SESSIONS": 40000, "JSTAT_JOOLD_SSS_ENOSPC": 9, "JSTAT_JOOLD_SSS_SENT": 7, "JSTAT_SESSION_NOT_FOUND": 1}, all); diff != "" {
		t.Errorf("all counters (-want +got):\n%s", diff)
	}
	late, cancel := context.WithCancel(ctx)
	cancel()
	h.blocked(func() {
		if _, err := h.KernelStats(late); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
	})
	h.stop()
	if _, err := h.Advertise(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after Run: %v", err)
	}
	if _, err := h.ModuleCounters(ctx); !errors.Is(err, ErrNotRunning) {
		t.Errorf("counters after Run: %v", err)
	}

	old := bed.host(0).of(jool419).start()
	if v := old.ModuleVersion(); v != "4.1.9" {
		t.Errorf("module version %q", v)
	}
}

// TestNonsenseFromKernel sends malformed netlink messages to a worker. It logs them once, and still processes valid reports.
func TestNonsenseFromKernel(t *testing.T) {
	bed := newTestbed(t, 2)
	receiver := bed.peer(1)
	h := bed.host(0).start()
	good := workertest.Multicast(jool4115, "nat", entries(t, jool4115, 1, 2))
	for _, m := range [][]byte{{1}, good[:47], good[:60], append([]byte{0, 0, 0, 0}, good[4:]...), make([]byte, 100)} {
		h.instance.MulticastRaw(m)
	}
	// A report without sessions is acknowledged, and causes no datagram.
	h.instance.Multicast(nil)
	h.instance.MulticastRaw(good)
	if got, _ := receiver.receive(); len(got) < 80 {
		t.Errorf("received %x", got)
	}
	h.instance.Wait(t, joolnl.JooldAck, 3)
	counts(t, h, Stats{NetSentPackets: 1, NetSentBytes: 80})
	if n := h.log.count("malformed netlink message"); n != 1 {
		t.Errorf("%d lines in the log", n)
	}
}

// overrun is a simulated kernel whose multicasts arrive on a real netlink socket, which can overrun.
type overrun struct {
	*workertest.Kernel
	sender int
	// group is the number of the module's multicast group.
	group uint32
}

func (k *overrun) Dial(instance string, receiveBuffer int) (*joolnl.Conn, error) {
	inner, err := k.Kernel.Dial(instance, receiveBuffer)
	if err != nil {
		return nil, err
	}
	open := func() int {
		fd, openErr := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_USERSOCK)
		if openErr != nil {
			err = openErr
			return -1
		}
		if bindErr := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); bindErr != nil {
			err = bindErr
		}
		return fd
	}
	receiver := open()
	k.sender = open()
	inner.Group = k.group
	if err == nil {
		err = unix.SetsockoptInt(receiver, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, 1)
	}
	if err == nil {
		err = unix.SetsockoptInt(receiver, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)
	}
	if err == nil {
		err = unix.Dup3(receiver, inner.Receiver(), unix.O_CLOEXEC)
	}
	unix.Close(receiver)
	return inner, err
}

func (k *overrun) multicast(t *testing.T, b []byte) {
	t.Helper()
	// The kernel returns ECONNREFUSED after it has delivered the message to the group, because it has no receiver of its own
	// for NETLINK_USERSOCK.
	err := unix.Sendto(k.sender, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1})
	if err != nil && err != unix.ECONNREFUSED {
		t.Error(err)
	}
}

// TestNetlinkOverrun overruns the netlink socket. The worker processes later reports, and sends one ACK for the lost ones.
func TestNetlinkOverrun(t *testing.T) {
	bed := newTestbed(t, 2)
	receiver := bed.peer(1)
	h := bed.host(0)
	h.current.ReceiveBuffer = 10_000
	k := &overrun{Kernel: h.kernel}
	h.env.Kernel = k
	h.start()
	defer unix.Close(k.sender)
	acks := h.instance.Count(joolnl.JooldAck)
	h.blocked(func() {
		for i := range 200 {
			k.multicast(t, workertest.Multicast(jool4115, "nat", entries(t, jool4115, 10*i, 10)))
		}
	})
	eventually(t, "the overrun is counted", func() bool { return h.counters.Losses() == Losses{NetlinkOverruns: 1} })
	h.blocked(func() {}) // the kernel drops further messages until the worker has read those in the buffer
	last := entries(t, jool4115, 5000, 3)
	k.multicast(t, workertest.Multicast(jool4115, "nat", last))
	received := 0
	for got := []byte(nil); !bytes.HasPrefix(got, last); received++ {
		got, _ = receiver.receive()
	}
	if received < 2 || received > 100 {
		t.Errorf("%d of 201 were received", received)
	}
	h.instance.Wait(t, joolnl.JooldAck, acks+received+1) // one of them for the lost reports
	if n := h.log.count("overran the netlink socket"); n != 1 {
		t.Errorf("%d log lines about the overrun, want 1", n)
	}
}

func TestLimitedLog(t *testing.T) {
	var log logged
	l := newLimitedLog(slog.New(slog.NewTextHandler(&log, nil)))
	for range 100 {
		l.warn("one", "n", 1)
		l.warn("another")
	}
	if log.count("msg=one") != 1 || log.count("msg=another") != 1 || log.count("left out") != 0 {
		t.Errorf("logged %q", log.text.String())
	}
	l.last["one"].at = l.last["one"].at.Add(-logEvery)
	l.warn("one", "n", 2)
	if log.count("msg=one n=2 \"left out before\"=99") != 1 {
		t.Errorf("logged %q", log.text.String())
	}
}
