// Package workertest is a kernel with Jool in it, for tests of workers and of
// what runs them: it speaks Jool's bytes over socket pairs.
//
// It tells neither which thread sent a request, nor does it overrun; the tests
// in the virtual machine and those with real netlink sockets do.
package workertest

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/session"
)

// Patience is how long Wait waits.
const Patience = 10 * time.Second

// Family is the number that Jool's netlink family has in this kernel.
const Family = 32

// place is where an instance lives, as nsthread.ID has it.
type place struct{ dev, ino uint64 }

func placeOf(path string) (place, error) {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return place{}, fmt.Errorf("%s: %w", path, err)
	}
	return place{st.Dev, st.Ino}, nil
}

type key struct {
	where place
	name  string
}

// Kernel is a worker.Kernel.
type Kernel struct {
	mu        sync.Mutex
	version   joolnl.Version
	unloaded  bool
	instances map[key]*Instance
	conns     map[*conn]struct{}
	dials     []Dial
}

// Dial is one call of Kernel's Dial.
type Dial struct {
	Instance      string
	ReceiveBuffer int
}

// NewKernel makes one with a module of this version and no instances.
func NewKernel(version joolnl.Version) *Kernel {
	return &Kernel{version: version, instances: make(map[key]*Instance), conns: make(map[*conn]struct{})}
}

// Load and unload the module.
func (k *Kernel) Load(loaded bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unloaded = !loaded
}

// SetVersion changes the module's version, as loading another one does.
func (k *Kernel) SetVersion(v joolnl.Version) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version = v
}

// Dials are the calls of Dial so far.
func (k *Kernel) Dials() []Dial {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.dials)
}

// Connections is how many connections are open.
func (k *Kernel) Connections() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns)
}

// Dial connects to an instance of the calling thread's namespace.
func (k *Kernel) Dial(instance string, receiveBuffer int) (*joolnl.Conn, error) {
	where, err := placeOf("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	receiver, asker, err := k.dial(key{where, instance}, receiveBuffer)
	if err != nil {
		return nil, err
	}
	return joolnl.NewConn(joolnl.Requests{Family: Family, Version: k.version, Instance: instance}, receiver, asker), nil
}

// dial returns the worker's ends of a connection.
func (k *Kernel) dial(to key, receiveBuffer int) (receiver, asker int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.dials = append(k.dials, Dial{to.name, receiveBuffer})
	if k.unloaded {
		return -1, -1, joolnl.ErrNoModule
	}
	c, receiver, asker, err := newConn(k, to)
	if err != nil {
		return -1, -1, err
	}
	if err := unix.SetsockoptInt(receiver, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return -1, -1, err
	}
	k.conns[c] = struct{}{}
	go c.serve()
	return receiver, asker, nil
}

// Request is one that an instance got. Entries are a JOOLD_ADD's sessions.
type Request struct {
	Op      joolnl.Op
	Seq     uint32
	Entries []byte
}

// Instance is one of Jool's. Its fields may be set before a worker uses it, or
// in Set.
type Instance struct {
	// Off has session synchronisation switched off.
	Off bool
	// Settings are those that are not Jool's defaults, by number.
	Settings map[int]uint32
	// Stats are the counters by number. Those of Counting rise.
	Stats map[int]uint64
	// Table are the sessions that SESSION_FOREACH tells, in this order.
	Table []session.Session
	// Sessions, if not nil, is a table that changes as a module's does, in place of
	// Table and of two of the Stats.
	Sessions *Table
	// Pool4 are its prefixes, all of UDP and with all ports, one to a page of
	// POOL4_FOREACH.
	Pool4 []netip.Prefix
	// Refuse, if not nil, is asked about every request; what it returns is
	// answered instead. An Error without a text is netlink's own.
	Refuse func(Request) *joolnl.Error

	kernel   *Kernel
	key      key
	changed  *sync.Cond // with kernel.mu
	requests []Request
}

// The numbers of counters, from 4.1.13 on.
const (
	statSessionsSent = 76 // JSTAT_JOOLD_SSS_SENT
	statSessionsRcvd = 77 // JSTAT_JOOLD_SSS_RCVD
	statPacketsRcvd  = 80 // JSTAT_JOOLD_PKT_RCVD
)

// Counting are counters that count what is given to the module and what it reports.
func Counting() map[int]uint64 {
	return map[int]uint64{statSessionsSent: 0, statSessionsRcvd: 0, statPacketsRcvd: 0}
}

func (i *Instance) count(stat int, n uint64) {
	if _, ok := i.Stats[stat]; ok {
		i.Stats[stat] += n
	}
}

// Add makes an instance in a namespace: a name under /run/netns, or "" for the
// test's own.
func (k *Kernel) Add(t testing.TB, ns, name string) *Instance {
	t.Helper()
	path := "/proc/thread-self/ns/net"
	if ns != "" {
		path = "/run/netns/" + ns
	}
	where, err := placeOf(path)
	if err != nil {
		t.Fatal(err)
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	i := &Instance{kernel: k, key: key{where, name}, changed: sync.NewCond(&k.mu)}
	k.instances[i.key] = i
	return i
}

// Remove takes the instance away.
func (i *Instance) Remove() {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	delete(i.kernel.instances, i.key)
}

// Set changes the instance while requests come in.
func (i *Instance) Set(change func(*Instance)) {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	change(i)
}

// Multicast sends sessions to all who listen to the instance, and returns how
// many do.
func (i *Instance) Multicast(entries []byte) int { return i.MulticastRaw(i.multicast(entries)) }

func (i *Instance) multicast(entries []byte) []byte {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	i.count(statSessionsSent, uint64(i.kernel.version.Format().CountList(entries)))
	return Multicast(i.kernel.version, i.key.name, entries)
}

// MulticastRaw sends any bytes.
func (i *Instance) MulticastRaw(message []byte) int {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	n := 0
	for c := range i.kernel.conns {
		if c.key == i.key {
			if _, err := c.multicasts.Write(message); err == nil {
				n++
			}
		}
	}
	return n
}

// Requests are those that came so far, in order.
func (i *Instance) Requests() []Request {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	return slices.Clone(i.requests)
}

// Count is how many requests of a kind came so far.
func (i *Instance) Count(op joolnl.Op) int {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	return count(i.requests, op)
}

func count(requests []Request, op joolnl.Op) int {
	n := 0
	for _, r := range requests {
		if r.Op == op {
			n++
		}
	}
	return n
}

// Wait waits until n requests of a kind have come, and returns those of that
// kind.
func (i *Instance) Wait(t testing.TB, op joolnl.Op, n int) []Request {
	t.Helper()
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	late := false
	timer := time.AfterFunc(Patience, func() {
		i.kernel.mu.Lock()
		defer i.kernel.mu.Unlock()
		late = true
		i.changed.Broadcast()
	})
	defer timer.Stop()
	for count(i.requests, op) < n && !late {
		i.changed.Wait()
	}
	got := slices.DeleteFunc(slices.Clone(i.requests), func(r Request) bool { return r.Op != op })
	if len(got) < n {
		t.Errorf("instance %q got %d requests of kind %d within %v, want %d", i.key.name, len(got), op, Patience, n)
	}
	return got
}

// Format is the module's.
func (k *Kernel) Format() session.Format { return k.version.Format() }
