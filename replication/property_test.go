package replication

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"joolctl/syncwire"
)

// world is some hosts in one group.
type world struct {
	rand    *rand.Rand
	now     time.Time
	lastID  uint32
	order   []*host
	hosts   map[syncwire.ID]*host // those that run now
	ids     []syncwire.ID         // of all runs
	returns []returned
	stamps  []time.Time // when each version was reported
	expired stamp
	traced  bool
	trace   []string
}

func newWorld(seed uint64, traced bool) *world {
	w := &world{rand: rand.New(rand.NewPCG(seed, 1)), now: time.Unix(1_000_000, 0), hosts: make(map[syncwire.ID]*host), stamps: make([]time.Time, 1), traced: traced}
	for range 2 + w.rand.IntN(4) {
		h := &host{w: w, up: true}
		w.order = append(w.order, h)
		for w.rand.IntN(3) == 0 {
			h.table.put(entry{w.rand.IntN(keys), w.stamp()})
		}
		h.incarnate()
	}
	return w
}

func (w *world) stamp() stamp {
	w.stamps = append(w.stamps, w.now)
	return stamp(len(w.stamps) - 1)
}

// alive is a version that has not expired, or 0.
func (w *world) alive(s stamp) stamp {
	for int(w.expired)+1 < len(w.stamps) && w.now.Sub(w.stamps[w.expired+1]) > longest {
		w.expired++
	}
	if s <= w.expired {
		return 0
	}
	return s
}

func (w *world) sleep() { w.now = w.now.Add(time.Duration(1+w.rand.IntN(20_000)) * time.Millisecond) }

func (w *world) log(format string, args ...any) {
	if w.traced {
		for i, a := range args {
			if h, ok := a.(*host); ok {
				args[i] = w.name(h.id)
			}
		}
		w.trace = append(w.trace, fmt.Sprintf(format, args...))
	}
}

// name is a host's, and its run's.
func (w *world) name(id syncwire.ID) string {
	for i, h := range w.order {
		if h.id == id {
			return fmt.Sprintf("%c(%08x)", 'A'+i, uint32(id))
		}
	}
	return fmt.Sprintf("gone(%08x)", uint32(id))
}

// some is a host that is up.
func (w *world) some() *host {
	for {
		if h := w.order[w.rand.IntN(len(w.order))]; h.up {
			return h
		}
	}
}

// event has something happen.
func (w *world) event() {
	h := w.some()
	w.now = w.now.Add(time.Duration(w.rand.IntN(300)) * time.Millisecond)
	switch n := w.rand.IntN(100); {
	case n < 25:
		key := w.rand.IntN(keys)
		h.report(key)
		w.log("%v reports key %d as version %d, datagram %d", h, key, len(w.stamps)-1, h.seq)
	case n < 28:
		key := w.rand.IntN(keys)
		h.drop(key)
		w.log("%v gets key %d as version %d, generation %d", h, key, len(w.stamps)-1, h.generation)
	case n < 38:
		w.log("%v says HELLO", h)
		for _, other := range h.peers() {
			other.hears(h)
		}
	case n < 46:
		w.ask(h)
	case n < 48:
		if peers := h.peers(); len(peers) > 0 && h.in == nil {
			from := peers[w.rand.IntN(len(peers))]
			w.log("%v gets a full sync of %v that it has not asked for", h, from)
			h.begin(from, false)
		}
	case n < 68:
		if h.in != nil {
			h.step(false)
			w.log("%v goes on with its full sync", h)
		}
	case n < 76:
		w.miss(h)
	case n < 81:
		w.takeReturn(w.rand.IntN(4) > 0)
	default:
		w.fault(h, w.rand.IntN(100))
	}
}

// ask has a host request a full sync if it lacks something.
func (w *world) ask(h *host) {
	if lacks := h.judge(); len(lacks) > 0 && h.in == nil {
		from := h.best(lacks)
		w.log("%v asks %v because of %+v", h, from, lacks)
		h.begin(from, true)
	}
}

// miss has a missing datagram be repeated, or be lost for good.
func (w *world) miss(h *host) {
	for _, other := range w.order {
		s := h.streams[other.id]
		if s == nil || len(s.missing) == 0 {
			continue
		}
		i := w.rand.IntN(len(s.missing))
		if h.live(other.id) && w.rand.IntN(3) > 0 {
			w.log("%v gets datagram %d of %v late", h, s.missing[i], other)
			h.repair(other, i)
		} else {
			w.log("%v loses datagram %d of %v", h, s.missing[i], other)
			s.lose(i)
		}
		return
	}
}

func (w *world) takeReturn(comes bool) {
	if len(w.returns) == 0 {
		return
	}
	r := w.returns[0]
	w.returns = w.returns[1:]
	if to := w.hosts[r.to]; comes && to != nil && to.live(r.from) {
		w.log("%v takes %v from %s, which has %+v", to, r.entries, w.name(r.from), r.vector)
		to.takeReturn(r)
	}
}

// fault has something fail.
func (w *world) fault(h *host, n int) {
	switch {
	case n < 12:
		w.log("%v stops its full sync", h)
		h.finish()
	case n < 22:
		w.log("%v may have lost anything", h)
		h.doubt()
	case n < 42:
		if h.inherit() {
			w.log("%v restarts, and keeps its vector", h)
		}
	case n < 52:
		w.log("%v restarts", h)
		h.incarnate()
		w.log("... as %v", h)
	case n < 60:
		w.log("%v loses its table", h)
		h.table = table{}
		h.incarnate()
		w.log("... and is %v", h)
	case n < 66:
		if alive := len(w.up()); alive > 2 {
			w.log("%v dies", h)
			h.up = false
			delete(w.hosts, h.id)
		}
	case n < 86:
		w.move(h, 1-h.side)
	case n < 97:
		w.sleep()
		w.log("some time passes")
	case n < 99:
		w.now = w.now.Add(longest/2 + time.Duration(w.rand.Int64N(int64(longest))))
		w.log("long time passes")
	default:
		w.log("%v restarts often", h)
		for range 20 + w.rand.IntN(40) {
			h.report(w.rand.IntN(keys))
			h.incarnate()
			w.sleep()
			for _, other := range h.peers() {
				other.hears(h)
				other.advance()
			}
		}
	}
}

// move takes a host to the other side.
func (w *world) move(h *host, side int) {
	h.side = side
	w.log("%v moves to side %d", h, side)
	if w.rand.IntN(2) > 0 {
		return
	}
	w.log("... which it was not heard on for long")
	for _, other := range h.peers() {
		for _, pair := range [][2]*host{{h, other}, {other, h}} {
			delete(pair[0].served, pair[1].id)
			if s := pair[0].streams[pair[1].id]; s != nil {
				s.away = true
			}
		}
	}
}

func (w *world) up() (up []*host) {
	for _, h := range w.order {
		if h.up {
			up = append(up, h)
		}
	}
	return up
}

// check returns how a host is wrong that says that it is complete.
func (w *world) check() error {
	for _, h := range w.up() {
		h.advance()
	}
	for _, h := range w.up() {
		if other, key := h.wrong(); other != nil && len(h.judge()) == 0 {
			return fmt.Errorf("%s says that it is complete, and lacks version %d of key %d, which %s has", w.name(h.id), other.table[key], key, w.name(other.id))
		}
	}
	return nil
}

// wrong returns a live peer that has a session which a host lacks; nil: the host has everything.
func (h *host) wrong() (other *host, key int) {
	has := h.table
	for _, e := range h.held {
		has.put(e)
	}
	for _, other := range h.peers() {
		for k := range keys {
			if h.w.alive(other.table[k]) > has[k] {
				return other, k
			}
		}
	}
	return nil, 0
}

// settle has hosts exchange tables until all are complete.
func (w *world) settle() error {
	for _, h := range w.up() {
		w.move(h, 0)
	}
	for round := range 30 {
		var lacking []string
		for _, h := range w.up() {
			w.now = w.now.Add(time.Second)
			for _, other := range h.peers() {
				other.hears(h)
				for s := other.streams[h.id]; len(s.missing) > 0; {
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
			if lacks := h.judge(); len(lacks) > 0 {
				lacking = append(lacking, fmt.Sprintf("%s lacks %+v", w.name(h.id), lacks))
			}
		}
		if len(lacking) == 0 {
			return nil
		}
		w.log("round %d: %s", round, strings.Join(lacking, "; "))
	}
	return fmt.Errorf("the hosts do not become complete")
}

func (w *world) run() error {
	for range 40 + w.rand.IntN(120) {
		w.event()
		if err := w.check(); err != nil {
			return err
		}
	}
	return w.settle()
}

// TestVectorNeverLies has things happen to hosts in random order. No host may say that it is complete while it lacks a
// session of a live peer's table, and in the end all are complete.
func TestVectorNeverLies(t *testing.T) {
	for seed := range uint64(3000) {
		if newWorld(seed, false).run() == nil {
			continue
		}
		w := newWorld(seed, true)
		t.Fatalf("seed %d: %v\n%s", seed, w.run(), strings.Join(w.trace, "\n"))
	}
}
