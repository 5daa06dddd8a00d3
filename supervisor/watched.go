package supervisor

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"joolctl/eventlog"
	"joolctl/worker"
)

// event stores an event of a pair.
func (s *Supervisor) event(p *pair, e eventlog.Event) {
	e.Pair = p.name
	s.opt.EventLog.Add(e)
}

// fileEvent stores an event about the files of a pair.
func (s *Supervisor) fileEvent(name string, severity eventlog.Severity, text string) {
	s.opt.EventLog.Add(eventlog.Event{Pair: name, Kind: eventlog.Files, Severity: severity, Text: text})
}

// stateEvent stores the event of a pair that changes its state, or gets another reason in the same state.
func (s *Supervisor) stateEvent(p *pair, state State, reason string) {
	severity := eventlog.Error
	switch {
	case reason == starting:
		return // the next state has an event
	case state == Running:
		severity = eventlog.Info
	case state == Waiting && p.pending: // as planned
		severity = eventlog.Info
	case state == Waiting:
		severity = eventlog.Warning
	case state == Failed:
		reason = summary(p.refused)
	}
	s.event(p, eventlog.StateChanged(string(p.state), string(state), reason, severity))
}

const (
	// lossesEvery and lossesAtMostEvery are the shortest and the longest time between two loss events of a pair. While a
	// pair keeps losing sessions, the time doubles with each event, so that the log has room for the pair's other
	// events.
	lossesEvery       = sampleEvery
	lossesAtMostEvery = 5 * time.Minute
)

// lookout stores the losses and the peers of a pair at the last sample. Their changes are found by comparison, because
// the worker does not report them.
type lookout struct {
	losses worker.Losses
	pause  time.Duration // between the last loss event and the next; 0: there was none recently
	next   time.Time     // the earliest time of the next loss event

	live  *live           // the worker that has these peers
	peers map[string]bool // the addresses of live peers
}

// watchLosses stores an event if loss counters have risen.
func (s *Supervisor) watchLosses(p *pair, now time.Time) {
	w := &p.watched
	if now.Before(w.next) {
		return
	}
	losses := p.counters.Losses()
	rose := increases(w.losses, losses)
	w.losses = losses
	if len(rose) == 0 {
		w.pause = 0
		return
	}
	w.pause = min(max(2*w.pause, lossesEvery), lossesAtMostEvery)
	w.next = now.Add(w.pause)
	s.event(p, eventlog.LossesRose(rose))
}

// repairedKey is the JSON key of Losses.Repaired. It counts datagrams that arrived late, so it is not a loss.
const repairedKey = "repaired_datagrams"

// increases returns the increase of each loss counter that has risen, by its JSON key.
func increases(before, after worker.Losses) map[string]uint64 {
	rose := make(map[string]uint64)
	b, a := reflect.ValueOf(before), reflect.ValueOf(after)
	for i := range a.NumField() {
		key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
		if was, is := b.Field(i).Uint(), a.Field(i).Uint(); is > was && key != repairedKey {
			rose[key] = is - was
		}
	}
	return rose
}

// watchPeers stores an event for each address at which a peer has become live, and for each at which no peer is live any
// longer.
func (s *Supervisor) watchPeers(p *pair, now time.Time) {
	w := &p.watched
	if w.live != p.live {
		w.live, w.peers = p.live, nil // a new worker has heard no peer yet
	}
	if w.live == nil {
		return
	}
	live := make(map[string]bool)
	for _, peer := range w.live.Peers() {
		if isLive(&peer, now) { // one live peer at an address is enough
			live[peer.Address.String()] = true
		}
	}
	for _, address := range slices.Sorted(maps.Keys(live)) {
		if !w.peers[address] {
			s.event(p, eventlog.Event{Kind: eventlog.Peers, Severity: eventlog.Info, Peer: address, Text: "peer " + address + " is live"})
		}
	}
	for _, address := range slices.Sorted(maps.Keys(w.peers)) {
		if !live[address] {
			s.event(p, eventlog.Event{Kind: eventlog.Peers, Severity: eventlog.Warning, Peer: address, Text: "peer " + address + " is not live any more"})
		}
	}
	w.peers = live
}
