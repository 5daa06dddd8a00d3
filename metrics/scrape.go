package metrics

import (
	"io"
	"slices"
	"sync"

	"joolctl/supervisor"
)

// Build identifies the build of the program.
type Build struct{ Version, Commit, Go string }

// scrape has the values of one scrape.
type scrape struct {
	supervisor.Snapshot
	build   Build
	process process
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, flushAt+4096); return &b }}

// Encode writes a snapshot in a format. It returns the error of w.
func Encode(w io.Writer, format Format, snapshot *supervisor.Snapshot, build Build) error {
	s := &scrape{*snapshot, build, processNow()}
	s.Workers = withoutDoubles(s.Workers)
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	e := &encoder{w: w, format: format, buf: (*buf)[:0], at: s.At}
	pairs := make([]string, len(s.Workers)) // the label of each row
	for i := range s.Workers {
		pairs[i] = string(appendLabel(nil, "pair", s.Workers[i].Name))
	}
	for i := range table {
		for j := range table[i].Families {
			s.encode(e, &table[i].Families[j], pairs)
			if e.err != nil {
				return e.err
			}
		}
	}
	if format == OpenMetrics {
		e.buf = append(e.buf, "# EOF\n"...)
	}
	e.flush()
	*buf = e.buf
	return e.err
}

// encode writes a family.
func (s *scrape) encode(e *encoder, f *Family, pairs []string) {
	if f.module != nil && s.Module == nil {
		return
	}
	e.begin(f)
	if f.program != nil {
		f.program(e, s)
		return
	}
	for i := range s.Workers {
		e.pair = pairs[i]
		if f.pair != nil {
			f.pair(e, &s.Workers[i])
		} else {
			f.module(e, s.Module[i])
		}
	}
}

// withoutDoubles returns the rows with one peer for each address: the peer that was heard last. When a peer's worker
// starts again, the row has two peers with the same address for some time. A scraper refuses two series with the same
// labels.
func withoutDoubles(rows []supervisor.Row) []supervisor.Row {
	cloned := false
	for i := range rows {
		all := rows[i].Peers
		var peers []supervisor.Peer
		for j := range all {
			if !heardLater(all, j) {
				peers = append(peers, all[j])
			}
		}
		if len(peers) == len(all) {
			continue
		}
		if !cloned {
			rows, cloned = slices.Clone(rows), true
		}
		rows[i].Peers = peers
	}
	return rows
}

// heardLater reports whether another peer with the address of peers[i] was heard after it.
func heardLater(peers []supervisor.Peer, i int) bool {
	for j := range peers {
		newer := peers[j].LastHeardSeconds - peers[i].LastHeardSeconds
		if j != i && peers[j].Address == peers[i].Address && (newer < 0 || newer == 0 && j < i) {
			return true
		}
	}
	return false
}
