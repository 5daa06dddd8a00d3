package supervisor

import (
	"context"
	"slices"
	"sync"
	"time"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/worker"
)

// Status is everything that a supervisor knows of its pairs.
type Status struct {
	Directory     string `json:"directory"`
	Version       string `json:"version"`
	UptimeSeconds int64  `json:"uptime_seconds"`
	// Runtime is what the program itself takes: it should rise with pairs and
	// sessions only.
	Runtime Runtime `json:"runtime"`
	// Reason is why the directory can't be read at the moment.
	Reason string `json:"reason,omitempty"`
	// Totals is the sum over the rows that are shown.
	Totals  worker.Stats `json:"totals"`
	Workers []Row        `json:"workers"`
}

// Row is one pair.
type Row struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Instance  string `json:"instance"`
	State     State  `json:"state"`
	Reason    string `json:"reason"`
	// Since is when it came into its state (RFC 3339).
	Since time.Time `json:"since"`
	// Restarts is how often its worker was started again.
	Restarts int `json:"restarts"`
	// Synced is yes, no, or alone: no peer that could tell has been heard.
	Synced string `json:"synced"`
	// Reasons are why the host is not ready to take over this instance, as in Ready.
	Reasons []replication.Reason `json:"reasons,omitempty"`
	// Resync is what a resync that is under way does; LastResync what the last
	// one came to.
	Resync     string                  `json:"resync,omitempty"`
	LastResync *replication.SyncReport `json:"last_resync,omitempty"`
	// Advertise is the last advertise, under way or ended.
	Advertise *replication.Advertise `json:"advertise,omitempty"`
	Stats     worker.Stats           `json:"stats"`
	// Ledger and Losses account for every session on its way.
	Ledger worker.Ledger `json:"ledger"`
	Losses worker.Losses `json:"losses"`
	// Broken names, one line each, counters of the module's and ours, or of a peer's and
	// ours, that should agree and do not.
	Broken []string `json:"broken,omitempty"`
	// Exposure is how long a new session exists on this host only; nil while the worker does not run.
	Exposure *Exposure `json:"exposure,omitempty"`
	// Kernel has the module's counters by Jool's names; empty where they can't
	// be had.
	Kernel map[string]uint64 `json:"kernel"`
	Peers  []Peer            `json:"peers"`
}

// Exposure is how long a new session waits in the module before the module reports it. The session dies with the host
// meanwhile.
type Exposure struct {
	// AtMostSeconds is the longest time after the session's first packet, without load.
	AtMostSeconds float64 `json:"at_most_seconds"`
	// Refused is why the module keeps its settings although the pair says "tune ss".
	Refused string `json:"refused,omitempty"`
	// Remedy is what makes the time shorter.
	Remedy string `json:"remedy,omitempty"`
}

// Peer is a host that sessions were heard from.
type Peer struct {
	Address          string `json:"address"`
	LastHeardSeconds int64  `json:"last_heard_seconds"`
	// What follows only our own kind tells; Version is the Jool module's.
	Software string   `json:"software,omitempty"`
	Version  string   `json:"version,omitempty"`
	Synced   string   `json:"synced,omitempty"`
	Sessions *uint32  `json:"sessions,omitempty"`
	Lost     *uint64  `json:"lost,omitempty"`
	Repaired *uint64  `json:"repaired,omitempty"`
	Differs  []string `json:"differs,omitempty"`
}

// Status describes the named pairs, all of them if no names are given. It does
// not wait for a kernel that is stuck.
func (s *Supervisor) Status(ctx context.Context, names []string) (Status, error) {
	type entry struct {
		Row
		counters *worker.Counters
		live     *live
	}
	var status Status
	var entries []entry
	err := s.do(ctx, func() error {
		status = Status{
			Directory: s.opt.Dir, Version: s.opt.Version, Reason: s.troubled,
			UptimeSeconds: int64(time.Since(s.started).Seconds()),
			Runtime:       currentRuntime(),
		}
		selected, err := s.selection(names, len(names) == 0)
		for _, p := range selected {
			row := p.row()
			row.Reasons = p.standing().reasons(time.Now(), ReadyOptions{})
			entries = append(entries, entry{row, p.counters, p.live})
		}
		return err
	})
	if err != nil {
		return Status{}, err
	}
	var asking sync.WaitGroup
	for i := range entries {
		e := &entries[i]
		e.Stats, e.Ledger, e.Losses = e.counters.Stats(), e.counters.Ledger(), e.counters.Losses()
		status.Totals = status.Totals.Add(e.Stats)
		if e.live != nil {
			e.Peers = peersOf(e.live.Peers())
			e.take(e.live.Sync())
			asking.Go(func() { e.Kernel = e.live.kernel(ctx) })
		}
	}
	asking.Wait()
	status.Workers = []Row{}
	for _, e := range entries {
		status.Workers = append(status.Workers, e.Row)
	}
	return status, nil
}

func (p *pair) row() Row {
	return Row{
		Name: p.name, Namespace: p.spec.Namespace, Instance: p.spec.Instance,
		State: p.state, Reason: p.explanation(), Since: p.since.UTC().Truncate(time.Second),
		Restarts: p.restarts + p.current, Synced: "no",
		Kernel: map[string]uint64{}, Peers: []Peer{},
	}
}

func peersOf(heard []replication.PeerInfo) []Peer {
	peers := []Peer{}
	for _, peer := range heard {
		p := Peer{Address: peer.Address.String(), LastHeardSeconds: int64(time.Since(peer.LastHeard).Seconds())}
		if peer.ID != 0 {
			p.Lost, p.Repaired = &peer.Lost, &peer.Repaired
		}
		if peer.Software != "" { // it has said HELLO
			p.Software, p.Version, p.Synced = peer.Software, joolnl.Version(peer.Module).String(), peer.Sync.String()
			p.Sessions, p.Differs = &peer.Sessions, peer.Differs
		}
		peers = append(peers, p)
	}
	return peers
}

// take puts into a row what its worker says.
func (r *Row) take(s worker.SyncState) {
	r.Synced, r.LastResync, r.Advertise, r.Broken = s.Synced.String(), s.Last, s.Advertise, s.Broken
	if s.Phase != "" {
		r.Resync = s.String()
	}
	r.Exposure = &Exposure{AtMostSeconds: s.Exposure.AtMost.Seconds(), Refused: s.Exposure.Refused, Remedy: s.Exposure.Remedy}
}

// selection is the pairs named, or all, in natural order.
func (s *Supervisor) selection(names []string, all bool) ([]*pair, error) {
	if all {
		names = s.names()
	}
	var selected []*pair
	for _, name := range names {
		p := s.pairs[name]
		if p == nil {
			return nil, &UnknownName{Name: name, Known: s.names()}
		}
		if !slices.Contains(selected, p) {
			selected = append(selected, p)
		}
	}
	slices.SortFunc(selected, func(a, b *pair) int { return configdir.NaturalCompare(a.name, b.name) })
	return selected, nil
}

func (s *Supervisor) names() []string {
	names := []string{}
	for name := range s.pairs {
		names = append(names, name)
	}
	slices.SortFunc(names, configdir.NaturalCompare)
	return names
}
