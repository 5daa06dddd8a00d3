package guest

import (
	"context"
	"fmt"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
	control "joolctl/supervisor"
)

// watched is a host that a witness samples.
type watched struct {
	supervisor
	namespace *namespace
	pair      pair
	conn      *joolnl.Conn // for the namespace's thread
	buffer    []session.Session

	// The witness's lock guards what follows.

	segment int // hosts of one segment reach each other
	bound   time.Duration
	table   map[sessionKey]holding
	noted   int // tables
	state   verdict
	rest    time.Time // the host has sent nothing since then
	lacks   lacking
	synced  wrongYes // of joolctl status
	ready   wrongYes // of joolctl ready
	notYes  int      // samples of the phase in which joolctl status said anything but yes
}

// verdict holds a host's answers to joolctl status and joolctl ready.
type verdict struct {
	synced string
	ready  bool
	why    string        // it is not ready
	silent time.Duration // since the host last heard a peer
	sent   uint64        // datagrams
}

// ask asks a host for its verdict. A host that does not answer does not say yes.
func (h *watched) ask() (v verdict) {
	ctx, cancel := context.WithTimeout(context.Background(), answerWithin)
	defer cancel()
	client := control.Client{Socket: h.socket}
	name := []string{h.pair.name}
	status, err := client.Status(ctx, name)
	if err != nil || len(status.Workers) != 1 {
		return verdict{why: fmt.Sprintf("%d workers, %v", len(status.Workers), err)}
	}
	row := status.Workers[0]
	v = verdict{synced: row.Synced, silent: time.Hour, sent: row.Stats.NetSentPackets}
	for _, p := range row.Peers {
		v.silent = min(v.silent, time.Duration(p.LastHeardSeconds*float64(time.Second)))
	}
	ready, err := client.Ready(ctx, name, false, control.ReadyOptions{})
	if err != nil {
		v.why = err.Error()
		return v
	}
	v.ready = ready.Ready
	for _, p := range ready.Pairs {
		for _, reason := range p.Reasons {
			v.why += reason.Text + ", "
		}
	}
	return v
}

// read reads the module's table.
func (h *watched) read() (all []session.Session, err error) {
	failed := h.namespace.thread.Do(func() {
		all, err = appendSessions(h.buffer[:0], h.conn)
	})
	if failed != nil {
		return nil, failed
	}
	h.buffer = all
	return all, err
}

// note takes a table over.
func (h *watched) note(table []session.Session, at time.Time) {
	since := at
	if h.noted++; h.noted == 1 {
		since = time.Time{}
	}
	for i := range table {
		s := &table[i]
		key := keyOf(s)
		held, ok := h.table[key]
		if !ok {
			held.first = since
		}
		if !ok || stage(s.State) > stage(held.state) {
			held.current = since
		}
		held.state, held.noted = s.State, h.noted
		h.table[key] = held
	}
	for key, held := range h.table {
		if held.noted != h.noted {
			delete(h.table, key)
		}
	}
}

// String words a host's sessions and answers.
func (h *watched) String() string {
	return fmt.Sprintf("%d sessions, synced: %q, ready: %v (%s), %v", len(h.table), h.state.synced, h.state.ready, h.state.why, h.lacks)
}

// tcp counts the TCP sessions that a host holds, and those of them that are ESTABLISHED.
func (h *watched) tcp() (all, established int) {
	for key, held := range h.table {
		if key.proto != uint16(session.TCP) {
			continue
		}
		all++
		if held.state == session.Established {
			established++
		}
	}
	return all, established
}
