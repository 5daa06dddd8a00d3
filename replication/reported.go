package replication

import "joolctl/session"

// MaxReported bounds the sessions of a Reported.
const MaxReported = 1 << 18

// Reported is the set of sessions that were reported during a full sync: records of them that the full sync brings are
// older. The zero value records nothing.
type Reported struct {
	sessions map[session.Key]bool // whether the own module has reported it, or peers only; nil: nothing is recorded
	order    []reportedMapping    // of these sessions, as they were added
	compared int                  // how many of them the comparison of tables has that is under way
	overflow bool
}

// reportedMapping is a BIB entry of which a session was reported. The zero mask is that of a report of the own module: any entry of the host
// is in use here. A peer's report shows that the entry with the peer's mask is in use, but none with another mask.
type reportedMapping struct {
	host bibHost
	mask Mask
}

// inUse reports whether a BIB entry is among mappings.
func inUse(mappings map[reportedMapping]struct{}, host bibHost, mask Mask) bool {
	_, own := mappings[reportedMapping{host: host}]
	_, peers := mappings[reportedMapping{host, mask}]
	return own || peers
}

// Start begins to record, unless that is under way. Restart begins with an empty set.
func (r *Reported) Start() {
	if r.sessions == nil {
		r.Restart()
	}
}

// Restart begins to record, with an empty set.
func (r *Reported) Restart() { *r = Reported{sessions: make(map[session.Key]bool)} }

// Stop ends the recording, and empties the set.
func (r *Reported) Stop() { *r = Reported{} }

// Recording reports whether Add records sessions.
func (r *Reported) Recording() bool { return r.sessions != nil }

// Add records a session that the own module has reported.
func (r *Reported) Add(rec *session.Record) {
	if key := rec.Key(); r.add(key, true) {
		r.order = append(r.order, reportedMapping{host: hostOfKey(&key)})
	}
}

// add records a session. It returns false if the set does not change.
func (r *Reported) add(key session.Key, own bool) bool {
	if r.sessions == nil {
		return false
	}
	before, known := r.sessions[key]
	switch {
	case known && (before || !own):
		return false
	case !known && len(r.sessions) >= MaxReported:
		r.overflow = true
		return false
	}
	r.sessions[key] = own
	return true
}

// AddList records the sessions of a peer's list, which has passed session.CheckList.
func (r *Reported) AddList(entries []byte) {
	if r.sessions == nil {
		return
	}
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		rec := f.Record(entries)
		if r.add(rec.Key(), false) {
			r.order = append(r.order, reportedMapping{hostOf(&rec), maskOf(&rec)})
		}
	}
}

// Has reports whether a session is in the set.
func (r *Reported) Has(key session.Key) bool {
	_, has := r.sessions[key]
	return has
}

// Own reports whether the own module has reported a session.
func (r *Reported) Own(key session.Key) bool { return r.sessions[key] }

// Miss notes that the own module has reported sessions that are not known.
func (r *Reported) Miss() { r.overflow = r.overflow || r.Recording() }

// Overflowed reports whether more than MaxReported sessions were reported, or some that are not known. Then each session of a full sync is
// looked up in the module, and no BIB entries are removed.
func (r *Reported) Overflowed() bool { return r.overflow }

// BeginComparison returns the mappings of the sessions that were reported so far, for a comparison of tables, which happens beside the
// thread. They are not copied: mappings are added behind them only.
func (r *Reported) BeginComparison() []reportedMapping {
	r.compared = len(r.order)
	return r.order[:r.compared:r.compared]
}

// EndComparison returns the mappings of the sessions that were reported since BeginComparison.
func (r *Reported) EndComparison() (lately []reportedMapping) { return r.order[r.compared:] }
