package replication

import (
	"fmt"
	"math/rand/v2"
	"strings"
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
