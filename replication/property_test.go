package replication

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/syncwire"
)

// world is some hosts in one group.
type world struct {
	rand     *rand.Rand
	now      time.Time
	lastID   uint32
	order    []*host
	hosts    map[syncwire.ID]*host // those that run now
	returns  []returned
	versions []version
	expired  stamp
	settling bool // from now on, no fault happens
	actions  []action
	total    int // weight
	// keys is how many keys new sessions have. One of so many datagrams is lost, of so many reports dropped, and of so many
	// sessions refused.
	keys, lost, drops, refuses int
	traced                     bool
	trace                      []string
}

func newWorld(seed uint64, traced bool) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 1)), traced: traced}
	w.actions = actions()
	for i := range w.actions {
		w.actions[i].weight *= w.oneOf(0, 1, 1, 1, 2, 5)
		w.total += w.actions[i].weight
	}
	w.actions, w.total = append(w.actions, action{1, (*world).open}), w.total+1
	w.keys, w.lost, w.drops, w.refuses = w.oneOf(2, 8, keys, keys), w.oneOf(2, 5, 5, 1000), w.oneOf(2, 8, 8, 1000), w.oneOf(15, 60, 60, 10_000)
	w.begin(2 + w.rand.IntN(4))
	for _, h := range w.order {
		h.slow = w.oneOf(1, 1, 1, 10)
		for w.rand.IntN(3) == 0 {
			h.table.put(entry{w.rand.IntN(keys), w.stamp(0)})
		}
		h.incarnate()
	}
	return w
}

// begin begins with hosts without sessions.
func (w *world) begin(hosts int) {
	w.now, w.hosts, w.versions = time.Unix(1_000_000, 0), make(map[syncwire.ID]*host), make([]version, 1)
	for range hosts {
		h := &host{w: w, slow: 1}
		w.order = append(w.order, h)
		h.incarnate()
	}
}

func (w *world) oneOf(n ...int) int { return n[w.rand.IntN(len(n))] }

func (w *world) stamp(origin syncwire.ID) stamp {
	w.versions = append(w.versions, version{at: w.now, origin: origin})
	return stamp(len(w.versions) - 1)
}

// alive is a version that has not expired, or 0.
func (w *world) alive(s stamp) stamp {
	if s <= w.expired {
		return 0
	}
	return s
}

func (w *world) log(format string, args ...any) {
	if w.traced {
		for i, a := range args {
			switch a := a.(type) {
			case *host:
				args[i] = w.name(a.id)
			case syncwire.ID:
				args[i] = w.name(a)
			}
		}
		w.trace = append(w.trace, fmt.Sprintf("%8.3f ", w.now.Sub(time.Unix(1_000_000, 0)).Seconds())+fmt.Sprintf(format, args...))
	}
}

// name is a host's, and its incarnation's.
func (w *world) name(id syncwire.ID) string {
	for i, h := range w.order {
		if h.id == id {
			return fmt.Sprintf("%c(%08x)", 'A'+i, uint32(id))
		}
	}
	return fmt.Sprintf("gone(%08x)", uint32(id))
}

func (w *world) up() (up []*host) {
	for _, h := range w.order {
		if h.up {
			up = append(up, h)
		}
	}
	return up
}

// some is a host that is up.
func (w *world) some() *host {
	for {
		if h := w.order[w.rand.IntN(len(w.order))]; h.up {
			return h
		}
	}
}

// pass advances the time and performs all steps that are due by then.
func (w *world) pass(d time.Duration) {
	w.now = w.now.Add(d)
	for int(w.expired)+1 < len(w.versions) && w.now.Sub(w.versions[w.expired+1].at) > longest {
		w.expired++
	}
	for _, h := range w.up() {
		for len(h.queue) > 0 && w.now.Sub(w.versions[h.queue[0].stamp].at) > moduleWithin {
			w.reports(h)
		}
		if !h.dropped.IsZero() && w.now.Sub(h.dropped) > reportedWithin-moduleWithin {
			h.poll()
		}
		if d >= time.Second {
			h.readErrors()
		}
		if !h.listening.IsZero() && w.now.Sub(h.listening) > listenFor {
			h.listening = time.Time{}
		}
		for _, n := range h.known {
			if n.live && w.now.Sub(n.last) > goneAfter {
				w.log("%v takes %v to be gone", h, n.id)
				n.live = false
			}
		}
	}
}

// sleep has some time pass, in which most HELLOs are heard.
func (w *world) sleep() {
	for left := time.Duration(1+w.rand.IntN(20_000)) * time.Millisecond; left > 0; left -= 3 * time.Second {
		w.pass(min(left, 3*time.Second))
		for _, h := range w.up() {
			if w.rand.IntN(4) > 0 {
				h.sayHello(false)
			}
		}
	}
}

// reports has a module report the next session, or drop it.
func (w *world) reports(h *host) {
	if !w.settling && w.rand.IntN(w.drops) == 0 {
		w.log("the module of %v drops %v", h, h.queue[0])
		h.drop()
		return
	}
	w.log("%v reports %v, datagram %d", h, h.queue[0], h.seq+1)
	h.report()
}

// action is a possible event at a host.
type action struct {
	weight int
	do     func(w *world, h *host)
}

// actions returns all possible events. Each world draws its own weights, so that an event that is rare in most worlds is
// frequent in some.
func actions() []action {
	return []action{
		{10, (*world).open},
		{6, func(w *world, h *host) {
			if len(h.queue) > 0 {
				w.reports(h)
			}
		}},
		{2, func(_ *world, h *host) { h.poll() }},
		{2, func(_ *world, h *host) { h.readErrors() }},
		{12, func(w *world, h *host) {
			w.log("%v says HELLO", h)
			h.sayHello(false)
		}},
		{8, (*world).ask},
		{3, (*world).syncFast},
		{2, func(w *world, h *host) {
			if from := w.some(); h.hears(from) && h.in == nil {
				w.log("%v gets a full sync of %v that it has not asked for", h, from)
				h.begin(from, false)
			}
		}},
		{18, func(w *world, h *host) {
			if h.in != nil && w.rand.IntN(h.slow) == 0 {
				w.log("%v goes on with its full sync", h)
				h.step(false)
			}
		}},
		{5, (*world).miss},
		{5, func(w *world, _ *host) { w.takeReturn(w.rand.IntN(4) > 0) }},
		{6, (*world).notice},
		{4, func(w *world, _ *host) { w.sleep() }},
		{1, func(w *world, h *host) {
			w.log("%v stops its full sync", h)
			h.finish()
		}},
		{1, func(w *world, h *host) {
			w.log("%v may have lost anything", h)
			h.doubt()
		}},
		{2, func(w *world, h *host) {
			if h.inherit() {
				w.log("%v restarts, and keeps its vector", h)
			}
		}},
		{1, func(w *world, h *host) {
			w.log("%v restarts", h)
			h.incarnate()
			w.log("... as %v", h)
		}},
		{1, func(w *world, h *host) {
			w.log("%v loses its table", h)
			h.table, h.queue = table{}, nil
			h.incarnate()
			w.log("... and is %v", h)
		}},
		{1, (*world).die},
		{2, func(w *world, h *host) { w.move(h, 1-h.side) }},
		{1, (*world).sleepLong},
	}
}

// event has something happen.
func (w *world) event() {
	h := w.some()
	w.pass(time.Duration(w.rand.IntN(300)) * time.Millisecond)
	n := w.rand.IntN(w.total)
	for i := range w.actions {
		if n -= w.actions[i].weight; n < 0 {
			w.actions[i].do(w, h)
			return
		}
	}
}

// open has sessions be opened, which the module reports at once or later.
func (w *world) open(h *host) {
	for again := true; again; again = w.rand.IntN(4) == 0 {
		h.open(w.rand.IntN(w.keys))
		w.log("%v gets %v", h, h.queue[len(h.queue)-1])
	}
	if w.rand.IntN(2) > 0 {
		for len(h.queue) > 0 {
			w.reports(h)
		}
	}
}

// notice has a host find out which peers are gone. Rarely, it takes one to be gone whose HELLOs are lost.
func (w *world) notice(h *host) {
	for _, n := range h.known {
		if n.live && (!h.hears(w.hosts[n.id]) || !w.settling && w.rand.IntN(20) == 0) {
			w.log("%v takes %v to be gone", h, n.id)
			n.live = false
		}
	}
}

// syncFast has a host hear what all have, and receive a whole full sync.
func (w *world) syncFast(h *host) {
	for _, other := range w.up() {
		other.sayHello(true)
	}
	w.ask(h)
	if from := w.some(); h.in == nil && h.hears(from) {
		h.begin(from, w.rand.IntN(2) == 0)
	}
	for h.in != nil {
		h.step(true)
	}
}

// ask has a host request a full sync if it lacks something.
func (w *world) ask(h *host) {
	if lacks, judges := h.look(); judges && len(lacks) > 0 && h.in == nil {
		if from := h.best(lacks); from != nil {
			w.log("%v asks %v because of %+v", h, from, lacks)
			h.begin(from, true)
		}
	}
}

// miss has a missing datagram be repeated, or be lost for good.
func (w *world) miss(h *host) {
	for _, n := range h.known {
		if len(n.missing) == 0 {
			continue
		}
		i := w.rand.IntN(len(n.missing))
		if h.hears(w.hosts[n.id]) && w.rand.IntN(3) > 0 {
			w.log("%v gets datagram %d of %v late", h, n.missing[i], n.id)
			h.repair(n, i)
		} else {
			w.log("%v loses datagram %d of %v", h, n.missing[i], n.id)
			n.lose(i)
		}
		return
	}
}

// takeReturn has the oldest queued return arrive, or not.
func (w *world) takeReturn(comes bool) {
	if len(w.returns) == 0 {
		return
	}
	from, to := w.hosts[w.returns[0].from], w.hosts[w.returns[0].to]
	if from != nil {
		from.readErrors()
	}
	r := w.returns[0]
	w.returns = w.returns[1:]
	if comes && from != nil && from.hears(to) {
		w.log("%v takes %v from %v, which has %+v", to, r.entries, from, r.vector)
		to.takeReturn(r)
	}
}

func (w *world) die(h *host) {
	if len(w.up()) > 2 {
		w.log("%v dies", h)
		h.up = false
		w.leave(h)
		w.noticeAll()
	}
}

// noticeAll has all hosts find out at once which peers are gone, or only later.
func (w *world) noticeAll() {
	if w.rand.IntN(2) > 0 {
		for _, h := range w.up() {
			w.notice(h)
		}
	}
}

// sleepLong has components expire, or be evicted because a host restarts often.
func (w *world) sleepLong(h *host) {
	if w.rand.IntN(8) > 0 {
		w.pass(longest/2 + time.Duration(w.rand.Int64N(int64(longest))))
		w.log("long time passes")
		return
	}
	w.log("%v restarts often", h)
	for range 20 + w.rand.IntN(40) {
		h.open(w.rand.IntN(keys))
		h.report()
		h.incarnate()
		w.sleep()
	}
}

// leave ends an incarnation.
func (w *world) leave(h *host) {
	delete(w.hosts, h.id)
	w.returns = slices.DeleteFunc(w.returns, func(r returned) bool { return r.from == h.id })
}

// move takes a host to the other side.
func (w *world) move(h *host, side int) {
	if h.side == side {
		return
	}
	h.side = side
	w.log("%v moves to side %d", h, side)
	w.noticeAll()
	if w.rand.IntN(2) > 0 {
		return
	}
	w.log("... which it was not heard on for long")
	long := w.now.Add(-absentAfter - 1)
	for _, other := range w.up() {
		for _, pair := range [][2]*host{{h, other}, {other, h}} {
			if n := pair[0].find(pair[1].id); n != nil && h.hears(other) {
				n.live, n.last = false, long
			}
		}
	}
}

// check returns how a host is wrong that says that it is complete.
func (w *world) check() error {
	up := w.up()
	for _, h := range up {
		h.look()
	}
	for _, h := range up {
		if !h.listening.IsZero() || h.refused {
			continue
		}
		if other, key := h.wrong(); other != nil && len(h.couldLack()) == 0 {
			return fmt.Errorf("%s says that it is complete, and lacks version %d of key %d of %s, which %s has",
				w.name(h.id), other.table[key], key, w.name(w.versions[other.table[key]].origin), w.name(other.id))
		}
	}
	return nil
}

// wrong returns a reachable host that has a session which a host lacks and could know of; nil: there is none.
func (h *host) wrong() (other *host, key int) {
	has := h.table
	for _, e := range h.held {
		has.put(e)
	}
	for _, other := range h.w.order {
		if !h.hears(other) {
			continue
		}
		for k := range keys {
			if s := h.w.alive(other.table[k]); s > has[k] && h.couldKnow(s, other) {
				return other, k
			}
		}
	}
	return nil, 0
}

// couldKnow reports whether a host could know of a version that another host has.
func (h *host) couldKnow(s stamp, of *host) bool {
	v := &h.w.versions[s]
	origin := h.w.hosts[v.origin]
	if origin == of || h.hears(origin) {
		return v.counted
	}
	for _, other := range h.w.order {
		if (other == h || h.hears(other)) && other.behindTheTimes() {
			return false
		}
	}
	return true
}

// behindTheTimes reports whether a host has yet to find out that a peer is gone, or to take over sessions of one that is.
func (h *host) behindTheTimes() bool {
	if !h.listening.IsZero() || h.in != nil && h.in.compared && !h.hears(h.w.hosts[h.in.from]) {
		return true
	}
	for _, n := range h.known {
		if n.live && !h.hears(h.w.hosts[n.id]) {
			return true
		}
	}
	return false
}

// settle has hosts exchange tables until all are complete.
func (w *world) settle() error {
	w.settling = true
	defer func() { w.settling = false }()
	for _, h := range w.up() {
		w.move(h, 0)
	}
	for round := range 30 {
		var lacking []string
		for _, h := range w.up() {
			w.pass(time.Second)
			for len(h.queue) > 0 {
				w.reports(h)
			}
			h.sayHello(true)
			w.notice(h)
			for _, other := range w.up() {
				for n := other.find(h.id); n != nil && len(n.missing) > 0; {
					w.miss(other)
				}
			}
			w.ask(h)
			for h.in != nil {
				h.step(true)
			}
			for len(w.returns) > 0 {
				to := w.hosts[w.returns[0].to]
				w.takeReturn(true)
				for to != nil && to.in != nil {
					to.step(true)
				}
			}
			if err := w.check(); err != nil {
				return err
			}
		}
		for _, h := range w.up() {
			lacks, judges := h.look()
			if len(lacks) > 0 || !judges {
				lacking = append(lacking, fmt.Sprintf("%s lacks %+v", w.name(h.id), lacks))
			}
		}
		if len(lacking) == 0 && round > 0 {
			return w.different()
		}
		w.log("round %d: %s", round, strings.Join(lacking, "; "))
	}
	return fmt.Errorf("the hosts do not become complete")
}

// different returns what a host lacks in the end.
func (w *world) different() error {
	for _, h := range w.up() {
		for _, other := range w.up() {
			for k := range keys {
				if s := w.alive(other.table[k]); s > h.table[k] {
					return fmt.Errorf("in the end, %s lacks version %d of key %d of %s, which %s has", w.name(h.id), s, k, w.name(w.versions[s].origin), w.name(other.id))
				}
			}
		}
	}
	return nil
}

// run makes the hosts complete several times, because late knowledge of one host has the largest effect while the others
// lack nothing.
func (w *world) run() error {
	for range 1 + w.rand.IntN(5) {
		for range w.oneOf(3, 10, 20, 60) {
			w.event()
			if err := w.check(); err != nil {
				return err
			}
		}
		if err := w.settle(); err != nil {
			return err
		}
	}
	return nil
}

// TestVectorNeverLies has things happen to hosts in random order, and settles what is left of them again and again: then all
// of them become complete, and their tables are equal.
//
// At no time may a host say that it is complete while it lacks a session that a reachable host has. As HELLOs take up to 10 s, the
// test asks what the host would say if every reachable host said HELLO now. Even then a host can't know of a session
//   - while the module of the session's origin has neither reported it nor counted it as dropped, if the origin is reachable: a
//     session that nobody has reported dies with its host. The module is given 8 s;
//   - whose origin is gone, as long as a reachable host has yet to find out that a peer is gone, listens after its start, or
//     injects sessions of a peer that is gone. That host's generation may have to rise;
//   - that its own module has refused, until it reads that error.
func TestVectorNeverLies(t *testing.T) {
	for seed := range uint64(3000) {
		if newWorld(seed, false).run() == nil {
			continue
		}
		w := newWorld(seed, true)
		t.Fatalf("seed %d: %v\n%s", seed, w.run(), strings.Join(w.trace, "\n"))
	}
}
