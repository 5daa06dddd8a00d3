// Package workertest simulates a kernel with Jool's module, for tests of package worker and of the packages that run workers.
// It speaks Jool's netlink protocol over socket pairs.
//
// It does not check which thread sent a request, and its multicasts do not overrun a receive buffer. The tests in the virtual
// machine and those with real netlink sockets cover both.
package workertest

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/session"
)

// Patience is how long Wait waits before it fails the test.
const Patience = 10 * time.Second

// Family is the number of Jool's netlink family in the simulated kernel.
const Family = 32

// place identifies the namespace of an instance by its inode, like nsthread.ID.
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

// Kernel is a simulated kernel. It implements worker.Kernel.
type Kernel struct {
	mu        sync.Mutex
	version   joolnl.Version
	unloaded  bool
	instances map[key]*Instance
	conns     map[*conn]struct{}
	dials     []Dial
}

// Dial records a call of Kernel.Dial.
type Dial struct {
	Instance      string
	ReceiveBuffer int
}

// NewKernel returns a kernel with a loaded module of the given version and without instances.
func NewKernel(version joolnl.Version) *Kernel {
	return &Kernel{version: version, instances: make(map[key]*Instance), conns: make(map[*conn]struct{})}
}

// Load loads or unloads the module.
func (k *Kernel) Load(loaded bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unloaded = !loaded
}

// SetVersion changes the module's version, as if another module had been loaded.
func (k *Kernel) SetVersion(v joolnl.Version) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.version = v
}

// Dials returns the calls of Dial so far.
func (k *Kernel) Dials() []Dial {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.dials)
}

// Connections returns the number of open connections.
func (k *Kernel) Connections() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.conns)
}

// Dial connects to an instance in the calling thread's namespace.
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

// Request is a request that an instance has received. Entries has the sessions of a JOOLD_ADD.
type Request struct {
	Op      joolnl.Op
	Seq     uint32
	Entries []byte
}

// Instance is an instance of the simulated module. Its fields may be set before a worker uses the instance, and in Set.
type Instance struct {
	// Off means that session synchronisation is switched off.
	Off bool
	// Settings overrides Jool's default settings; the keys are the numbers of the attributes.
	Settings map[int]uint32
	// Stats has the counters; the keys are their numbers. The kernel increases those that Counting returns, if they exist.
	Stats map[int]uint64
	// Table has the sessions that SESSION_FOREACH returns, in this order.
	Table []session.Session
	// Sessions, if not nil, is a table that changes as the module's table does. It replaces Table, and the counters of sessions
	// and BIB entries.
	Sessions *Table
	// Pool4 has the prefixes of pool4, each for UDP and all ports. A page of POOL4_FOREACH has one prefix.
	Pool4 []netip.Prefix
	// Refuse, if not nil, is called for each request. If it returns an error, the request gets that error as its reply. An
	// Error without a text becomes an error of netlink itself.
	Refuse func(Request) *joolnl.Error

	kernel   *Kernel
	key      key
	changed  *sync.Cond // with kernel.mu
	requests []Request
}

// The numbers of counters since Jool 4.1.13.
const (
	statSessionsSent = 76 // JSTAT_JOOLD_SSS_SENT
	statSessionsRcvd = 77 // JSTAT_JOOLD_SSS_RCVD
	statPacketsRcvd  = 80 // JSTAT_JOOLD_PKT_RCVD
)

// Counting returns Stats with the counters that the kernel increases for each JOOLD_ADD and for each report.
func Counting() map[int]uint64 {
	return map[int]uint64{statSessionsSent: 0, statSessionsRcvd: 0, statPacketsRcvd: 0}
}

func (i *Instance) count(stat int, n uint64) {
	if _, ok := i.Stats[stat]; ok {
		i.Stats[stat] += n
	}
}

// Add creates an instance in a namespace. ns is a name under /run/netns, or "" for the namespace of the test.
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

// Remove deletes the instance.
func (i *Instance) Remove() {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	delete(i.kernel.instances, i.key)
}

// Set calls change, during which the kernel processes no request.
func (i *Instance) Set(change func(*Instance)) {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	change(i)
}

// Multicast reports sessions to all connections of the instance, and returns the number of connections.
func (i *Instance) Multicast(entries []byte) int { return i.MulticastRaw(i.multicast(entries)) }

func (i *Instance) multicast(entries []byte) []byte {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	i.count(statSessionsSent, uint64(i.kernel.version.Format().CountList(entries)))
	return Multicast(i.kernel.version, i.key.name, entries)
}

// MulticastRaw sends a message of any bytes to all connections of the instance, and returns the number of connections.
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

// Take stops the kernel from answering requests of the instance's connection until give is called. Meanwhile, the test writes the module's
// reports into one descriptor, and reads the worker's requests from the other.
func (i *Instance) Take(t testing.TB) (multicasts, requests int, give func()) {
	t.Helper()
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	for c := range i.kernel.conns {
		if c.key != i.key {
			continue
		}
		i.kernel.mu.Unlock() // the kernel may be answering a request
		_ = c.requests.SetReadDeadline(time.Unix(1, 0))
		<-c.taken
		i.kernel.mu.Lock()
		return descriptor(t, c.multicasts), descriptor(t, c.requests), func() {
			_ = c.requests.SetReadDeadline(time.Time{})
			c.taken <- struct{}{}
		}
	}
	t.Error("the instance has no connection")
	return -1, -1, func() {}
}

// descriptor returns a file's descriptor. The file still owns it.
func descriptor(t testing.TB, f *os.File) (n int) {
	raw, err := f.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { n = int(fd) })
	}
	if err != nil {
		t.Error(err)
	}
	return n
}

// Requests returns the requests that the instance has received so far, in order.
func (i *Instance) Requests() []Request {
	i.kernel.mu.Lock()
	defer i.kernel.mu.Unlock()
	return slices.Clone(i.requests)
}

// Count returns how many requests of a kind the instance has received so far.
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

// Wait waits until the instance has received n requests of a kind, and returns all requests of that kind.
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

// Format returns the session format of the module's version.
func (k *Kernel) Format() session.Format { return k.version.Format() }
