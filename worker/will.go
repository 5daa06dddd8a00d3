package worker

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"joolctl/replication"
	"joolctl/syncwire"
)

// estate is what a worker knows of the instance's table when it ends. If the module has neither been given nor reported
// anything since, the next worker goes on as the same incarnation.
type estate struct {
	// The module's counters: what it was given, what it reported, what it dropped.
	packets, sessions, reported, dropped uint64
	replication.Checkpoint               // Written to the millisecond
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

// numbers are the estate's fields by their names.
func (e *estate) numbers() map[string]uint64 {
	numbers := map[string]uint64{
		"packets": e.packets, "sessions": e.sessions, "reported": e.reported, "dropped": e.dropped,
		"self": uint64(e.Self), "position": positionNumber(e.Position), "time": uint64(e.Written.UnixMilli()),
	}
	for id, stored := range e.Unclaimed {
		numbers[fmt.Sprintf("unclaimed %08x", uint32(id))] = uint64(stored.UnixMilli())
	}
	for _, c := range e.Vector {
		flags := uint64(0)
		if c.Known {
			flags |= 1
		}
		numbers[fmt.Sprintf("complete %08x", uint32(c.Origin))] = positionNumber(c.Complete)
		numbers[fmt.Sprintf("highest %08x", uint32(c.Origin))] = positionNumber(c.Highest)
		numbers[fmt.Sprintf("age %08x", uint32(c.Origin))] = uint64(c.Age)<<2 | flags
	}
	return numbers
}

// positionNumber and numberPosition write a position as one number.
func positionNumber(p syncwire.Position) uint64 { return uint64(p.Generation)<<32 | uint64(p.Seq) }
func numberPosition(n uint64) syncwire.Position {
	return syncwire.Position{Generation: uint32(n >> 32), Seq: syncwire.Seq(n)}
}

// estateOfNumbers is the estate with the given fields; nil: one is missing.
func estateOfNumbers(numbers map[string]uint64) *estate {
	for _, name := range []string{"packets", "sessions", "reported", "dropped", "self", "position", "time"} {
		if _, ok := numbers[name]; !ok {
			return nil
		}
	}
	e := &estate{
		packets: numbers["packets"], sessions: numbers["sessions"], reported: numbers["reported"], dropped: numbers["dropped"],
		Checkpoint: replication.Checkpoint{
			Self: syncwire.ID(numbers["self"]), Position: numberPosition(numbers["position"]), Written: time.UnixMilli(int64(numbers["time"])),
		},
	}
	for name, age := range numbers {
		if text, ok := strings.CutPrefix(name, "unclaimed "); ok {
			id, err := strconv.ParseUint(text, 16, 32)
			if err != nil {
				return nil
			}
			if e.Unclaimed == nil {
				e.Unclaimed = make(map[syncwire.ID]time.Time)
			}
			e.Unclaimed[syncwire.ID(id)] = time.UnixMilli(int64(age))
		}
		text, ok := strings.CutPrefix(name, "age ")
		if !ok {
			continue
		}
		origin, err := strconv.ParseUint(text, 16, 32)
		complete, ok1 := numbers["complete "+text]
		highest, ok2 := numbers["highest "+text]
		if err != nil || !ok1 || !ok2 {
			return nil
		}
		e.Vector = append(e.Vector, syncwire.Component{Origin: syncwire.ID(origin), Known: age&1 != 0,
			Complete: numberPosition(complete), Highest: numberPosition(highest), Age: uint32(age >> 2)})
	}
	slices.SortFunc(e.Vector, func(a, b syncwire.Component) int { return cmp.Compare(a.Origin, b.Origin) })
	return e
}

// write leaves an estate under a name without blanks that says of which instance of
// which load of the module it is. It replaces any other.
func (w *will) write(key string, e estate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = make(map[string]uint64)
	for name, n := range e.numbers() {
		w.left[willPrefix+key+" "+name] = n
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
	numbers := make(map[string]uint64)
	for name, n := range left {
		if what, ok := strings.CutPrefix(name, willPrefix+key+" "); ok {
			numbers[what] = n
		}
	}
	return estateOfNumbers(numbers)
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
