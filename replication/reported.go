package replication

import "joolctl/session"

// MaxReported bounds the sessions of a Reported.
const MaxReported = 1 << 18

// Reported is the set of sessions that were reported during a full sync: records of them that the full sync brings are
// older. The zero value records nothing.
type Reported struct {
	sessions map[session.Key]struct{} // nil: nothing is recorded
	order    []session.Key            // as they were added
	compared int                      // how many of them the comparison of tables has that is under way
	overflow bool
}

// Start begins to record, unless that is under way. Restart begins with an empty set.
func (r *Reported) Start() {
	if r.sessions == nil {
		r.Restart()
	}
}

// Restart begins to record, with an empty set.
func (r *Reported) Restart() { *r = Reported{sessions: make(map[session.Key]struct{})} }

// Stop ends the recording, and empties the set.
func (r *Reported) Stop() { *r = Reported{} }

// Recording reports whether Add records sessions.
func (r *Reported) Recording() bool { return r.sessions != nil }

// Add records a session.
func (r *Reported) Add(rec *session.Record) {
	if r.sessions == nil {
		return
	}
	key := rec.Key()
	if _, known := r.sessions[key]; known {
		return
	}
	if len(r.sessions) >= MaxReported {
		r.overflow = true
		return
	}
	r.sessions[key] = struct{}{}
	r.order = append(r.order, key)
}

// AddList records the sessions of a list that has passed session.CheckList.
func (r *Reported) AddList(entries []byte) {
	if r.sessions == nil {
		return
	}
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		r.Add(&rec)
	}
}

// Has reports whether a session is in the set.
func (r *Reported) Has(key session.Key) bool {
	_, has := r.sessions[key]
	return has
}

// Overflowed reports whether more than MaxReported sessions were reported. Then a full sync injects only sessions that the
// module does not have, and removes no BIB entries.
func (r *Reported) Overflowed() bool { return r.overflow }

// BeginComparison returns the sessions that were added so far, for a comparison of tables, which happens beside the thread. They
// are not copied: sessions are added behind them only.
func (r *Reported) BeginComparison() []session.Key {
	r.compared = len(r.order)
	return r.order[:r.compared:r.compared]
}

// EndComparison returns the sessions that were added since BeginComparison.
func (r *Reported) EndComparison() (lately []session.Key) { return r.order[r.compared:] }
