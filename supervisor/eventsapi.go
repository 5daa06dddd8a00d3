package supervisor

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"time"

	"joolctl/eventlog"
)

const (
	// maxEventsWait is the longest time that a request waits for an event. It is shorter than the time limits of client
	// and server.
	maxEventsWait = 10 * time.Second
	// maxFollowers is the number of requests that may wait at the same time. Others get an empty answer, so that
	// connections remain free for commands.
	maxFollowers = maxConnections / 4
)

// EventList is the answer to /v1/events.
type EventList struct {
	// Last is the number after which the next request should ask for events.
	Last uint64 `json:"last"`
	// Events are those kept after the number, in the order in which they happened.
	Events []eventlog.Event `json:"events"`
}

// EventsOptions select events.
type EventsOptions struct {
	// After is the number of the last event that the caller knows; 0 selects all events.
	After uint64
	// Wait is how long to wait for an event if none is selected.
	Wait time.Duration
}

// errNoNumber is the error about a parameter that is not the number of an event.
var errNoNumber = errors.New("after wants the number of an event")

// parseEventsOptions reads the options from a query: after=NUMBER and wait=DURATION.
func parseEventsOptions(q url.Values) (o EventsOptions, err error) {
	if text := q.Get("after"); text != "" {
		if o.After, err = strconv.ParseUint(text, 10, 64); err != nil {
			return o, errNoNumber
		}
	}
	o.Wait, err = duration(q, "wait")
	return o, err
}

// Events returns the events of the named pairs, or of all if no names are given. A name may be that of a removed pair.
func (s *Supervisor) Events(ctx context.Context, names []string, o EventsOptions) (EventList, error) {
	if err := s.do(ctx, func() error { return s.knowsAll(names) }); err != nil {
		return EventList{}, err
	}
	wait := min(o.Wait, maxEventsWait)
	select {
	case s.followers <- struct{}{}:
		defer func() { <-s.followers }()
	default:
		wait = 0
	}
	timeout := time.NewTimer(wait)
	defer timeout.Stop()
	for {
		events, last, added := s.opt.EventLog.After(o.After, names)
		if len(events) > 0 {
			return EventList{last, events}, nil
		}
		select {
		case <-added:
			continue
		case <-timeout.C:
		case <-s.stopped:
		case <-ctx.Done():
		}
		return EventList{last, []eventlog.Event{}}, nil
	}
}

// knowsAll returns an error if a name belongs to no pair and to no event.
func (s *Supervisor) knowsAll(names []string) error {
	for _, name := range names {
		if s.pairs[name] == nil && !s.opt.EventLog.Knows(name) {
			return &UnknownName{Name: name, Known: s.names()}
		}
	}
	return nil
}
