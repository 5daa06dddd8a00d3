package worker

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"

	"joolctl/syncwire"
)

// estate is what a worker whose table was complete knows about that: with it the next
// one can tell whether it still is, without reading any table.
type estate struct {
	// The module's counters: what it was given, what it reported, what it dropped.
	packets, sessions, reported, dropped uint64
	peers                                map[syncwire.ID]bequeathed
}

// bequeathed is what was known of a peer of ours.
type bequeathed struct {
	next  syncwire.Seq
	gains uint32
}

// will keeps estates from one worker of a pair to the next, in this process or, by
// way of Save and Restore, in another. Each is read once.
type will struct {
	mu         sync.Mutex
	left       map[string]uint64
	distrusted bool
}

// willPrefix is what the names of an estate's numbers begin with.
const willPrefix = "left "

// write leaves an estate under a name without blanks that says of which instance of
// which load of the module it is. It replaces any other.
func (w *will) write(key string, e estate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	name := func(what string) string { return willPrefix + key + " " + what }
	w.left = map[string]uint64{
		name("packets"): e.packets, name("sessions"): e.sessions, name("reported"): e.reported, name("dropped"): e.dropped,
	}
	for id, b := range e.peers {
		w.left[name(fmt.Sprintf("peer %08x", uint32(id)))] = uint64(b.next)<<32 | uint64(b.gains)
	}
}

// read takes what was left under the name; nil: nothing that can be trusted.
func (w *will) read(key string) *estate {
	w.mu.Lock()
	defer w.mu.Unlock()
	left, distrusted := w.left, w.distrusted
	w.left, w.distrusted = nil, false
	if distrusted {
		return nil
	}
	e := estate{peers: make(map[syncwire.ID]bequeathed)}
	numbers := map[string]*uint64{"packets": &e.packets, "sessions": &e.sessions, "reported": &e.reported, "dropped": &e.dropped}
	for name, n := range left {
		what, ok := strings.CutPrefix(name, willPrefix+key+" ")
		if !ok {
			continue
		}
		if to := numbers[what]; to != nil {
			*to = n
			delete(numbers, what)
		} else if text, ok := strings.CutPrefix(what, "peer "); ok {
			id, err := strconv.ParseUint(text, 16, 32)
			if err != nil {
				return nil
			}
			e.peers[syncwire.ID(id)] = bequeathed{syncwire.Seq(n >> 32), uint32(n)}
		}
	}
	if len(numbers) > 0 || len(e.peers) == 0 {
		return nil
	}
	return &e
}

func (w *will) save(to map[string]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(to, w.left)
}

func (w *will) restore(from map[string]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = make(map[string]uint64)
	for name, n := range from {
		if strings.HasPrefix(name, willPrefix) {
			w.left[name] = n
		}
	}
}

// Distrust has the next worker of the pair rely on nothing that one before has left.
func (c *Counters) Distrust() {
	c.will.mu.Lock()
	defer c.will.mu.Unlock()
	c.will.distrusted = true
}
