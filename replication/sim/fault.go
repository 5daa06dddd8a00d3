package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Kind is a kind of fault.
type Kind uint8

const (
	Loss        Kind = iota // Amount: share of the datagrams from Host to Peer
	Duplicate               // Amount: share
	Reorder                 // Amount: share
	Delay                   // Amount: milliseconds
	OneWay                  // Peer hears nothing of Host, or of any host
	Partition               // the hosts of Sides and the others do not hear each other
	Merge                   // a Partition from the start on; its end is the fault
	Drops                   // Amount: ss-capacity of Host, with bursts of connections
	SilentLoss              // Amount: share of the reports that Host's module loses without a counter
	NoMemory                // Amount: share of the sessions that Host's module fails to store
	RequestLoss             // Amount: share of the requests to Host's module that fail
	Deadline                // Amount: ss-flush-deadline of Host in milliseconds
	Burst                   // Amount: connections that open at once through Host
	Overrun                 // Amount: reports that overrun Host's netlink socket
	Kill                    // Host's worker dies, and another one starts afterwards
	Restart                 // Host's worker stops in good order, and its sockets stay open
	Stall                   // Host's worker does not get the processor
	Crash                   // Host dies with its module; Peer becomes active if Host was
	Recreate                // Host's instance is removed, and added at the end; Amount above 0.3: its worker stops in good order before
	Regroup                 // Host moves to another multicast group, and back
	OldJoold                // Host runs upstream's joold instead of its worker
	Failover                // Peer becomes active in place of Host
	Forge                   // Host receives forged datagrams
	Advertise               // Host sends its whole table, and reads it slowly: Amount milliseconds a page at most
	OldWire                 // Host's worker has another version of the wire format than the others
	kindCount
)

var kindNames = [kindCount]string{
	"loss", "duplicate", "reorder", "delay", "one-way", "partition", "merge", "drops", "silent-loss", "no-memory",
	"request-loss", "deadline", "burst", "overrun", "kill", "restart", "stall", "crash", "recreate", "regroup",
	"old-joold", "failover", "forge", "advertise", "old-wire",
}

func (k Kind) String() string { return kindNames[k] }

// Kinds returns all kinds.
func Kinds() []Kind {
	kinds := make([]Kind, kindCount)
	for i := range kinds {
		kinds[i] = Kind(i)
	}
	return kinds
}

// Fault is something that goes wrong.
type Fault struct {
	Kind Kind
	At   time.Duration // from the start of the simulation
	For  time.Duration
	Host int // -1: each, for faults of links
	Peer int // likewise
	// Amount depends on the Kind.
	Amount float64
	Sides  uint // a bit per host
}

// End returns when the fault ends.
func (f Fault) End() time.Duration { return f.At + f.For }

// String returns the fault in one line, which ParseFault reads.
func (f Fault) String() string {
	s := fmt.Sprintf("%v at=%v for=%v host=%d peer=%d", f.Kind, f.At, f.For, f.Host, f.Peer)
	if f.Amount != 0 {
		s += " amount=" + strconv.FormatFloat(f.Amount, 'g', -1, 64)
	}
	if f.Sides != 0 {
		s += " sides=" + strconv.FormatUint(uint64(f.Sides), 2)
	}
	return s
}

// ParseFault parses a fault in the form of String.
func ParseFault(s string) (Fault, error) {
	words := strings.Fields(s)
	if len(words) == 0 {
		return Fault{}, fmt.Errorf("fault %q: no kind", s)
	}
	kind := slices.Index(kindNames[:], words[0])
	if kind < 0 {
		return Fault{}, fmt.Errorf("fault %q: unknown kind %q", s, words[0])
	}
	f := Fault{Kind: Kind(kind)}
	for _, word := range words[1:] {
		key, value, _ := strings.Cut(word, "=")
		if err := f.set(key, value); err != nil {
			return Fault{}, fmt.Errorf("fault %q: %q: %w", s, word, err)
		}
	}
	return f, nil
}

func (f *Fault) set(key, value string) (err error) {
	switch key {
	case "at":
		f.At, err = time.ParseDuration(value)
	case "for":
		f.For, err = time.ParseDuration(value)
	case "host":
		f.Host, err = strconv.Atoi(value)
	case "peer":
		f.Peer, err = strconv.Atoi(value)
	case "amount":
		f.Amount, err = strconv.ParseFloat(value, 64)
	case "sides":
		var sides uint64
		sides, err = strconv.ParseUint(value, 2, 32)
		f.Sides = uint(sides)
	default:
		err = fmt.Errorf("unknown field %q", key)
	}
	return err
}

// End returns when the last of the faults ends.
func End(faults []Fault) (end time.Duration) {
	for _, f := range faults {
		end = max(end, f.End())
	}
	return end
}
