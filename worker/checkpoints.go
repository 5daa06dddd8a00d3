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

// checkpoints keeps the checkpoint of a pair's worker for its next worker, in this process or, through Save and Restore, in another
// one. A checkpoint can be read once.
type checkpoints struct {
	mu         sync.Mutex
	left       map[string]uint64
	distrusted bool
}

// checkpointPrefix is the prefix of the names of a checkpoint's numbers.
const checkpointPrefix = "left "

// numbersOf returns the fields of a checkpoint as numbers, keyed by name.
func numbersOf(c *replication.Checkpoint) map[string]uint64 {
	numbers := map[string]uint64{
		"packets": c.Counters.Packets, "sessions": c.Counters.Stored, "reported": c.Counters.Reported, "dropped": c.Counters.Dropped,
		"translated": c.Counters.Translated,
		"self":       uint64(c.Self), "position": positionNumber(c.Position), "time": uint64(c.Written.UnixMilli()),
	}
	for id, stored := range c.Unclaimed {
		numbers[fmt.Sprintf("unclaimed %08x", uint32(id))] = uint64(stored.UnixMilli())
	}
	for _, v := range c.Vector {
		flags := uint64(0)
		if v.Known {
			flags |= 1
		}
		numbers[fmt.Sprintf("complete %08x", uint32(v.Origin))] = positionNumber(v.Complete)
		numbers[fmt.Sprintf("highest %08x", uint32(v.Origin))] = positionNumber(v.Highest)
		numbers[fmt.Sprintf("age %08x", uint32(v.Origin))] = uint64(v.Age)<<2 | flags
	}
	return numbers
}

// positionNumber returns a position as one number; numberPosition is its inverse.
func positionNumber(p syncwire.Position) uint64 { return uint64(p.Generation)<<32 | uint64(p.Seq) }
func numberPosition(n uint64) syncwire.Position {
	return syncwire.Position{Generation: uint32(n >> 32), Seq: syncwire.Seq(n)}
}

// checkpointOf returns the checkpoint with the given fields, or nil if a field is missing. Its times are exact to the millisecond.
func checkpointOf(numbers map[string]uint64) *replication.Checkpoint {
	for _, name := range []string{"packets", "sessions", "reported", "dropped", "self", "position", "time"} {
		if _, ok := numbers[name]; !ok {
			return nil
		}
	}
	c := &replication.Checkpoint{
		Self: syncwire.ID(numbers["self"]), Position: numberPosition(numbers["position"]), Written: time.UnixMilli(int64(numbers["time"])),
		Counters: replication.ModuleCounters{Complete: true, Packets: numbers["packets"], Stored: numbers["sessions"],
			Reported: numbers["reported"], Dropped: numbers["dropped"], Translated: numbers["translated"]},
	}
	for name, age := range numbers {
		if text, ok := strings.CutPrefix(name, "unclaimed "); ok {
			id, err := strconv.ParseUint(text, 16, 32)
			if err != nil {
				return nil
			}
			if c.Unclaimed == nil {
				c.Unclaimed = make(map[syncwire.ID]time.Time)
			}
			c.Unclaimed[syncwire.ID(id)] = time.UnixMilli(int64(age))
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
		c.Vector = append(c.Vector, syncwire.Component{Origin: syncwire.ID(origin), Known: age&1 != 0,
			Complete: numberPosition(complete), Highest: numberPosition(highest), Age: uint32(age >> 2)})
	}
	slices.SortFunc(c.Vector, func(a, b syncwire.Component) int { return cmp.Compare(a.Origin, b.Origin) })
	return c
}

// write stores a checkpoint and replaces any earlier one. key identifies the instance and the load of the module; it must not
// contain blanks.
func (w *checkpoints) write(key string, c replication.Checkpoint) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = make(map[string]uint64)
	for name, n := range numbersOf(&c) {
		w.left[checkpointPrefix+key+" "+name] = n
	}
}

// read returns the checkpoint with this key and deletes it. It returns nil if there is none, or if it is distrusted.
func (w *checkpoints) read(key string) *replication.Checkpoint {
	w.mu.Lock()
	defer w.mu.Unlock()
	left, distrusted := w.left, w.distrusted
	w.left, w.distrusted = nil, false
	if distrusted {
		return nil
	}
	numbers := make(map[string]uint64)
	for name, n := range left {
		if what, ok := strings.CutPrefix(name, checkpointPrefix+key+" "); ok {
			numbers[what] = n
		}
	}
	return checkpointOf(numbers)
}

func (w *checkpoints) save(to map[string]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	maps.Copy(to, w.left)
}

func (w *checkpoints) restore(from map[string]uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left = make(map[string]uint64)
	for name, n := range from {
		if strings.HasPrefix(name, checkpointPrefix) {
			w.left[name] = n
		}
	}
}

// Distrust makes the next worker of the pair ignore the checkpoint of the previous one.
func (c *Counters) Distrust() {
	c.checkpoints.mu.Lock()
	defer c.checkpoints.mu.Unlock()
	c.checkpoints.distrusted = true
}
