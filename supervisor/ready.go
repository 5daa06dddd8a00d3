package supervisor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

const (
	// readyPatience limits the time for an answer to `ready`, because keepalived asks every two seconds.
	readyPatience = 100 * time.Millisecond
	// silentFor is the time without an answer after which the module counts as stuck. A worker asks it every two
	// seconds.
	silentFor = 10 * time.Second
	// heardWithin is the time since a peer's last datagram up to which the peer counts as present.
	heardWithin = 25 * time.Second
	// lagsAfter is the lag above which a peer causes a warning, if new sessions are reported within milliseconds.
	lagsAfter = time.Second
)

// ReadyOptions relax or tighten the conditions for a pair to be ready.
type ReadyOptions struct {
	// AllowAlone makes a pair ready although it hears no peer.
	AllowAlone bool
	// Patience makes a pair ready after it has not been ready for this long, unless a complete peer, which could be
	// active instead, was heard during that time; 0: never.
	Patience time.Duration
	// OpenAfter makes a pair ready after it has not been ready for this long, in any case; 0: never.
	OpenAfter time.Duration
	// MaxLag makes a pair not ready while a live peer lags by more than this; 0: a lag does not matter.
	MaxLag time.Duration
}

// waited reports whether a pair has not been ready for so long that Patience or OpenAfter makes it ready. The time
// counts from the oldest reason. incomplete is the time since which the table has been incomplete; zero: incompleteness
// is not among the reasons.
func (o ReadyOptions) waited(why []replication.Reason, s worker.SyncState, incomplete, now time.Time) bool {
	since := incomplete
	for _, r := range why {
		since = replication.Soonest(since, r.Since)
	}
	if since.IsZero() {
		return false
	}
	waits, silence := now.Sub(since), now.Sub(s.CompletePeer)
	return o.OpenAfter > 0 && waits >= o.OpenAfter ||
		o.Patience > 0 && waits >= o.Patience && silence >= max(o.Patience, heardWithin)
}

// Ready is the answer of `joolctl ready --all -o json`: whether it is safe to fail over to this host now.
type Ready struct {
	// Ready is true if all pairs that were asked for are ready.
	Ready bool `json:"ready"`
	// Pairs are the pairs that were asked for, in natural order of their names.
	Pairs []PairReady `json:"pairs"`
}

// WriteLines writes the answer in lines: for each pair that it is ready, or why not, and its warnings.
func (r *Ready) WriteLines(w io.Writer, now time.Time) {
	for _, pair := range r.Pairs {
		if pair.Ready {
			fmt.Fprintf(w, "%s: yes\n", pair.Name)
		}
		for _, reason := range pair.Reasons {
			fmt.Fprintf(w, "%s: %s\n", pair.Name, reason.Line(now))
		}
		for _, warning := range pair.Warnings {
			fmt.Fprintf(w, "%s: warning: %s\n", pair.Name, warning.Line(now))
		}
	}
}

// PairReady is the answer for one pair.
type PairReady struct {
	// Name is the name of the pair.
	Name string `json:"name"`
	// Ready is true if it is safe to fail over to this host's instance.
	Ready bool `json:"ready"`
	// Reasons are why it is not.
	Reasons []replication.Reason `json:"reasons"`
	// Warnings are reasons that do not keep this host from taking over: those that concern the peers, and datagrams that were refused.
	Warnings []replication.Reason `json:"warnings"`
}

// readiness is the state that determines whether a pair is ready.
type readiness struct {
	name     string // the pair's name
	state    State
	reason   string
	sequence bool // from the spec
	tuned    bool // the spec has "tune ss"
	security security
	sync     worker.SyncState
	listed   configdir.Peers // from the spec
	peers    []replication.PeerInfo
}

// Ready reports whether the named pairs, or all pairs, are ready. It uses the state that the workers have published, and
// makes no kernel request.
func (s *Supervisor) Ready(ctx context.Context, names []string, all bool, o ReadyOptions) (Ready, error) {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	answer := Ready{Pairs: []PairReady{}}
	err := s.do(ctx, func() error {
		selected, err := s.selection(names, all)
		if err != nil {
			return err
		}
		now := time.Now()
		answer.Ready = len(selected) > 0
		for _, p := range selected {
			st := p.readiness()
			why := append([]replication.Reason{}, st.reasons(now, o)...)
			answer.Pairs = append(answer.Pairs, PairReady{p.name, len(why) == 0, why, st.warnings(why, now, o)})
			answer.Ready = answer.Ready && len(why) == 0
		}
		return nil
	})
	return answer, err
}

func (p *pair) readiness() readiness {
	st := readiness{name: p.spec.Name, state: p.state, reason: p.explanation(), sequence: p.spec.Sequence, tuned: p.spec.TuneSS, listed: p.spec.Peers,
		security: securityOf(&p.spec)}
	if p.live != nil {
		st.sync, st.peers = p.live.Sync(), p.live.Peers()
	}
	return st
}

// reasons returns all reasons against a failover to this host; none: it is ready.
func (st readiness) reasons(now time.Time, o ReadyOptions) []replication.Reason {
	s := st.sync
	if st.state != Running {
		return []replication.Reason{{Code: replication.NotRunning, Text: fmt.Sprintf("it is %s, not running: %s", st.state, st.reason)}}
	}
	if now.Sub(s.Answered) > silentFor {
		return []replication.Reason{{Code: replication.ModuleSilent, Since: s.Answered, Text: "the kernel module does not answer", Remedy: "see `dmesg`"}}
	}
	why := st.incomplete(o.AllowAlone)
	incomplete := time.Time{}
	if len(why) > 0 {
		incomplete = s.IncompleteSince
	}
	if !o.AllowAlone { // with AllowAlone, a peer that is not heard counts as dead
		why = append(why, st.unheard(now)...)
	}
	for _, peer := range st.peers {
		if now.Sub(peer.LastHeard) > heardWithin {
			continue
		}
		if peer.Sessions > replication.MaxSessions {
			why = append(why, replication.Reason{Code: replication.TableTooLarge, Peer: peer.Address.String(), Sessions: uint64(peer.Sessions), Since: peer.TooLargeSince,
				Text:   fmt.Sprintf("peer %v has %d sessions, a full sync takes %d at most", peer.Address, peer.Sessions, replication.MaxSessions),
				Remedy: "shorten the timeouts of both instances, or divide their traffic among more instances"})
		}
		if names := replication.Matters(peer.Differs); len(names) > 0 {
			why = append(why, replication.Reason{Code: replication.SettingsDiffer, Peer: peer.Address.String(), Since: peer.DiffersSince,
				Text:   fmt.Sprintf("settings differ from peer %v: %s", peer.Address, strings.Join(names, ", ")),
				Remedy: "compare `jool global display` and `jool pool4 display` of both hosts"})
		}
	}
	if now.Sub(s.KernelDropped) <= worker.DropsCount {
		why = append(why, replication.Reason{Code: replication.ModuleDrops, Sessions: s.Drops, Since: s.DropsSince,
			Text:   fmt.Sprintf("the kernel module drops sessions (JSTAT_JOOLD_SSS_ENOSPC): %d, last %d seconds ago", s.Drops, int(now.Sub(s.KernelDropped).Seconds())),
			Remedy: "type: " + s.DropRemedy})
	}
	if o.MaxLag > 0 {
		why = append(append(why, st.lags(o.MaxLag, now)...), st.unknownLags(now)...)
	}
	for _, text := range s.Broken {
		why = append(why, replication.Reason{Code: replication.CountersDiffer, Since: s.BrokenSince, Text: "the counters disagree: " + text,
			Remedy: "find the cause; `joolctl restart " + st.name + "` counts again from 0"})
	}
	if o.waited(why, s, incomplete, now) {
		return nil
	}
	return why
}

// incomplete returns the reasons why the table may lack sessions.
func (st readiness) incomplete(allowAlone bool) (why []replication.Reason) {
	s := st.sync
	alone := s.Synced == syncwire.SyncAlone || !st.sequence
	if alone && s.Phase == "" {
		if allowAlone {
			return nil // no peer could send the missing sessions
		}
		why = append(why, st.aloneReason())
	}
	if s.Trouble != "" && !allowAlone { // a peer that failed may have taken the link down
		why = append(why, replication.Reason{Code: replication.LinkDown, Since: s.IncompleteSince, Text: s.Trouble})
	}
	switch {
	case s.Incomplete() && s.Total > 0:
		why = append(why, replication.Reason{Code: replication.FullSync, Since: s.IncompleteSince,
			Text: fmt.Sprintf("a full sync is under way: %s at %d %% (%d of %d sessions%s)", s.Phase, 100*s.Done/s.Total, s.Done, s.Total, s.EndsAt())})
	case s.Incomplete():
		why = append(why, replication.Reason{Code: replication.FullSync, Since: s.IncompleteSince, Text: "a full sync is under way: " + s.Phase})
	case s.Synced == syncwire.SyncNo && st.sequence && len(s.Lacking) == 0:
		why = append(why, replication.Reason{Code: replication.Listening, Since: s.IncompleteSince, Text: "the worker has not listened long enough to know all peers"})
	}
	why = append(why, s.Lacking...)
	if s.Blocked > 0 {
		why = append(why, replication.Reason{Code: replication.MappingsBlock, Peer: s.BlockedBy.String(), Sessions: uint64(s.Blocked), Since: s.BlockedSince,
			Text: fmt.Sprintf("%d sessions of peer %v are not stored because older mappings are in their way; full syncs remove %d mappings a minute", s.Blocked, s.BlockedBy, replication.MaxRemovals)})
	}
	return why
}

// aloneReason returns the reason why no peer can tell which sessions this host lacks.
func (st readiness) aloneReason() replication.Reason {
	ours := slices.ContainsFunc(st.peers, func(p replication.PeerInfo) bool { return p.ID != 0 })
	r := replication.Reason{Code: replication.Alone, Since: st.sync.IncompleteSince}
	switch {
	case len(st.peers) == 0:
		r.Text = "no peer has been heard since the start"
	case !st.sequence:
		r.Text = `"sequence" is false, so no peer can tell what this host lacks`
	case !ours:
		r.Text = "only upstream's joolds have been heard, which can't tell what this host lacks"
	default:
		r.Text = "alone: no peer answers any more"
	}
	return r
}
