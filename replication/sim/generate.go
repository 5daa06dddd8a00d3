package sim

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"time"
)

// Plan bounds what Generate draws.
type Plan struct {
	Hosts  int
	From   time.Duration // of the faults; a Merge starts before
	To     time.Duration // all have ended
	Faults int
	Kinds  []Kind // empty: all
	// Follow is the share of the faults that begin when another one has just ended, because hosts synchronise then.
	Follow float64
	// Takeover is the share of the Kills that another fault follows: the host with the new worker takes over the traffic.
	Takeover float64
	// Advertise is the share of the seeds in which a host advertises its table, beside the other faults.
	Advertise float64
	// OldWire is the share of the seeds in which a host temporarily has another version of the wire format.
	OldWire float64
}

// limits are the ranges that a fault of a kind is drawn from.
type limits struct {
	duration Span
	min, max float64 // of Amount
	whole    bool    // Amount is a whole number
	link     bool    // Host and Peer may be -1
}

var limitsOf = [kindCount]limits{
	Loss:        {duration: Span{time.Second, 30 * time.Second}, min: 0.01, max: 0.3, link: true},
	Duplicate:   {duration: Span{time.Second, 30 * time.Second}, min: 0.01, max: 0.5, link: true},
	Reorder:     {duration: Span{time.Second, 30 * time.Second}, min: 0.01, max: 0.5, link: true},
	Delay:       {duration: Span{time.Second, 30 * time.Second}, min: 1, max: 300, whole: true, link: true},
	OneWay:      {duration: Span{100 * time.Millisecond, 40 * time.Second}},
	Partition:   {duration: Span{100 * time.Millisecond, 40 * time.Second}},
	Merge:       {},
	Drops:       {duration: Span{100 * time.Millisecond, 20 * time.Second}, min: 1, max: 8, whole: true},
	SilentLoss:  {duration: Span{time.Second, 20 * time.Second}, min: 0.01, max: 0.5},
	NoMemory:    {duration: Span{100 * time.Millisecond, 20 * time.Second}, min: 0.01, max: 1},
	RequestLoss: {duration: Span{100 * time.Millisecond, 10 * time.Second}, min: 0.01, max: 0.5},
	Deadline:    {duration: Span{time.Second, 30 * time.Second}, min: 1, max: 5000, whole: true},
	Burst:       {min: 10, max: 200, whole: true},
	Overrun:     {min: 1, max: 20, whole: true},
	Kill:        {duration: Span{time.Millisecond, 30 * time.Second}},
	Restart:     {duration: Span{time.Millisecond, 10 * time.Second}},
	Stall:       {duration: Span{time.Millisecond, 40 * time.Second}},
	Crash:       {duration: Span{time.Second, 40 * time.Second}},
	Recreate:    {duration: Span{0, 10 * time.Second}, min: 0, max: 1},
	Regroup:     {duration: Span{time.Second, 30 * time.Second}},
	OldJoold:    {duration: Span{time.Second, 30 * time.Second}},
	Failover:    {},
	Forge:       {duration: Span{time.Second, 10 * time.Second}},
	OldWire:     {duration: Span{time.Second, 40 * time.Second}},
	Advertise:   {duration: Span{time.Second, 12 * time.Second}, min: 1, max: 1500, whole: true},
}

// Generate draws a schedule of faults from a seed, in order of time.
func Generate(seed uint64, p Plan) []Fault {
	kinds := p.Kinds
	if len(kinds) == 0 {
		kinds = Kinds()
	}
	r := stream(seed, "faults")
	faults := make([]Fault, p.Faults)
	for i := range faults {
		faults[i] = p.draw(r, kinds[r.IntN(len(kinds))])
	}
	for i := range faults {
		follow, after, later := r.Float64() < p.Follow, faults[r.IntN(i+1)], Span{0, followWithin}.draw(r).Truncate(time.Millisecond)
		if f := &faults[i]; follow && f.Kind != Merge && after.End() < p.To-followWithin {
			f.At = max(after.End()+later, p.From)
			f.For = min(f.For, p.To-f.At)
		}
	}
	companions := stream(seed, "companions")
	for _, f := range slices.Clone(faults) {
		faults = append(faults, p.companions(companions, f)...)
	}
	if r := stream(seed, "advertise"); r.Float64() < p.Advertise {
		faults = append(faults, p.draw(r, Advertise))
	}
	if r := stream(seed, "old-wire"); r.Float64() < p.OldWire {
		faults = append(faults, p.draw(r, OldWire))
	}
	slices.SortStableFunc(faults, func(a, b Fault) int { return cmp.Compare(a.At, b.At) })
	return faults
}

// followWithin is how soon after the end of another fault a fault begins that follows it.
const followWithin = 1500 * time.Millisecond

// companions draws faults that happen together with another one, because chance brings them together too rarely. Before a host
// crashes, or while its datagrams are lost, it does not hear its peers' NACKs, and each peer misses other datagrams for good.
func (p Plan) companions(r *rand.Rand, f Fault) []Fault {
	drawn, length, amount, host := r.Float64(), r.Float64(), r.Float64(), r.IntN(p.Hosts)
	if f.Host >= 0 {
		host = f.Host
	}
	at, end := f.At, f.End()
	if f.Kind == Kill && drawn < p.Takeover {
		from := 0
		if host == 0 {
			from = 1
		}
		return []Fault{{Kind: Failover, At: min(end+time.Duration(length*float64(takeoverWithin)).Truncate(time.Millisecond), p.To), Host: from, Peer: host}}
	}
	if f.Kind == Restart && drawn > 1-restartDrops && f.For > 10*time.Millisecond {
		lasts := time.Duration(length * float64(f.For-time.Millisecond)).Truncate(time.Millisecond)
		return []Fault{{Kind: Drops, At: at + time.Millisecond, For: lasts, Host: host, Peer: f.Peer, Amount: float64(1 + int(7*amount))}}
	}
	switch {
	case f.Kind == Crash && drawn < 0.5:
		at, end = max(at-time.Duration(length*float64(lastWords)).Truncate(time.Millisecond), p.From), at
	case f.Kind == Loss && drawn < 0.25:
	default:
		return nil
	}
	return []Fault{
		{Kind: Loss, At: at, For: end - at, Host: host, Peer: -1, Amount: 0.2 + 0.5*amount},
		{Kind: OneWay, At: at, For: end - at, Host: -1, Peer: host},
	}
}

// restartDrops is the share of the Restarts during which the module drops sessions, so that the new worker finds other counters than
// those that the worker before has kept.
const restartDrops = 0.4

// takeoverWithin is how soon after the start of a worker its host takes over the traffic, while a full sync is likely to be under way.
const takeoverWithin = 3 * time.Second

// lastWords is how long before a crash the host's datagrams are lost at most.
const lastWords = time.Second

// draw draws a fault of a kind. Short faults are as likely as long ones.
func (p Plan) draw(r *rand.Rand, k Kind) Fault {
	l := limitsOf[k]
	f := Fault{Kind: k, Host: r.IntN(p.Hosts)}
	f.Peer = (f.Host + 1 + r.IntN(max(p.Hosts-1, 1))) % p.Hosts
	f.At = Span{p.From, p.To}.draw(r).Truncate(time.Millisecond)
	f.For = time.Duration(r.Float64() * r.Float64() * float64(l.duration.Max-l.duration.Min))
	f.For = min(l.duration.Min+f.For, p.To-f.At).Truncate(time.Millisecond)
	f.Amount = l.min + r.Float64()*r.Float64()*(l.max-l.min)
	if l.whole {
		f.Amount = float64(int(f.Amount))
	}
	everyone := r.IntN(2) == 0
	if l.link && everyone {
		f.Host, f.Peer = -1, -1
	}
	switch k {
	case Partition, Merge:
		f.Sides = uint(1 + r.IntN(max(1<<(p.Hosts-1)-1, 1)))
	}
	if k == Merge {
		f.At, f.For = 0, f.At
	}
	return f
}
