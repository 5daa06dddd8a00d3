package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	"joolctl/worker"
)

const (
	// maxStreams is how many requests may follow sessions at the same time.
	maxStreams = 16
	// readWithin is how long a client may take to read a line.
	readWithin = 5 * time.Second
	// reportEvery is the longest time between two lines. It lets the client notice that the supervisor was killed, and
	// lets the supervisor notice that the client is gone.
	reportEvery = 10 * time.Second
)

// Flow is a line of /v1/follow: sessions that passed through a worker together.
type Flow struct {
	// Time is when they did.
	Time time.Time `json:"time"`
	// Direction is where they come from. It is empty in a line without sessions.
	Direction worker.Direction `json:"direction,omitempty"`
	// Entries are the sessions, in the format of Jool's module; see package session.
	Entries []byte `json:"entries,omitempty"`
	// Pool6 is the prefix of the instance.
	Pool6 netip.Prefix `json:"pool6,omitzero"`
	// Dropped is how many sessions were left out before these, because the caller reads too slowly.
	Dropped uint64 `json:"dropped_sessions,omitempty"`
	// Ended is the reason why this is the last line.
	Ended string `json:"ended,omitempty"`
}

// errTooManyStreams is the error of a request beyond maxStreams.
var errTooManyStreams = fmt.Errorf("%d commands follow sessions already; end one of them", maxStreams)

// Follow returns a copy of all sessions that pass through the worker of a pair.
func (s *Supervisor) Follow(ctx context.Context, name string) (*worker.Follower, error) {
	var w Worker
	err := s.do(ctx, func() error {
		selected, err := s.selection([]string{name}, false)
		switch {
		case err != nil:
			return err
		case selected[0].live == nil:
			return fmt.Errorf("it is %s, not running: %s", selected[0].state, selected[0].explanation())
		}
		w = selected[0].live.Worker
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w.Follow()
}

// follow writes Flows until the worker ends or the client stops reading.
func (h *handler) follow(w http.ResponseWriter, r *http.Request) {
	follower, code, err := h.beginToFollow(r)
	if err != nil {
		answer := failure{Error: err.Error()}
		if code == 0 {
			code, answer = errorAnswer(err)
		}
		writeAnswer(w, code, answer)
		return
	}
	defer func() { <-h.supervisor.streams }()
	defer follower.Close()
	w.Header().Set("Content-Type", "application/x-ndjson")
	out, lines := http.NewResponseController(w), json.NewEncoder(w)
	write := func(f Flow) error {
		if err := out.SetWriteDeadline(time.Now().Add(readWithin)); err != nil {
			return err
		}
		if err := lines.Encode(f); err != nil {
			return err
		}
		if len(follower.Flows()) > 0 {
			return nil // the next line flushes this one too
		}
		return out.Flush()
	}
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	pass := func(f worker.Flow) error {
		return write(Flow{Time: f.Time, Direction: f.Direction, Entries: f.Entries, Pool6: f.Pool6, Dropped: f.Dropped})
	}
	for err = write(Flow{Time: time.Now()}); err == nil; {
		select {
		case f := <-follower.Flows():
			err = pass(f)
		case now := <-tick.C:
			err = write(Flow{Time: now})
		case <-follower.Ended():
			for err == nil && len(follower.Flows()) > 0 {
				err = pass(<-follower.Flows())
			}
			_ = write(Flow{Time: time.Now(), Ended: "the worker has stopped", Dropped: follower.Dropped()}) // if this fails, the client sees the connection end
			return
		case <-h.supervisor.stopped:
			return
		case <-r.Context().Done():
			return
		}
	}
}

// beginToFollow returns a Follower if the client may have one. code is the HTTP status of an error that errorAnswer does
// not know, or 0.
func (h *handler) beginToFollow(r *http.Request) (f *worker.Follower, code int, err error) {
	if who, _ := r.Context().Value(callerKey{}).(caller); !who.mayChange(h.socket) {
		return nil, http.StatusForbidden, errors.New("you may not see sessions, because they name hosts that talk to each other: " + LetIn(h.socket))
	}
	names := r.URL.Query()["name"]
	if len(names) != 1 {
		return nil, http.StatusBadRequest, errors.New("name one pair by ?name=…")
	}
	select {
	case h.supervisor.streams <- struct{}{}:
	default:
		return nil, http.StatusServiceUnavailable, errTooManyStreams
	}
	if f, err = h.supervisor.Follow(r.Context(), names[0]); err != nil {
		<-h.supervisor.streams
		return nil, 0, err
	}
	return f, 0, nil
}
