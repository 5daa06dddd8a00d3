package replication

import (
	"slices"
	"time"
)

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
