package sim

import (
	"errors"

	"joolctl/session"
)

// ErrBusy is returned for an advertisement while another one is under way.
var ErrBusy = errors.New("an advertisement is under way")

// PageLen is how many sessions a page of the table has.
const PageLen = 26

// Page appends a page of a protocol's table to dst: the sessions that follow after in the order of src4 and dst4, or the
// first page if after is nil. more says that there is another page.
func (m *Module) Page(dst []session.Record, p session.Proto, after *session.Record) (page []session.Record, more bool, err error) {
	switch {
	case m.gone:
		return dst, false, ErrNoInstance
	case m.fails(m.RequestLoss):
		return dst, false, ErrNoMemory
	}
	m.expire()
	table, now := m.tables[p], m.clock.Now()
	if after != nil {
		at, is := find(table, placeOf(after))
		if is {
			at++
		}
		table = table[at:]
	}
	for _, s := range table[:min(PageLen, len(table))] {
		dst = append(dst, s.at(now))
	}
	return dst, len(table) > PageLen, nil
}

// Lookup returns a session as the table has it, if it has it under the same mask.
func (m *Module) Lookup(want *session.Record) (session.Record, bool, error) {
	switch {
	case m.gone:
		return session.Record{}, false, ErrNoInstance
	case m.fails(m.RequestLoss):
		return session.Record{}, false, ErrNoMemory
	}
	r, there := m.Session(want.Key())
	return r, there && r.Src4() == want.Src4(), nil
}

// Session returns a session as the table has it.
func (m *Module) Session(k session.Key) (session.Record, bool) {
	m.expire()
	s := m.sessions[k]
	if s == nil {
		return session.Record{}, false
	}
	return s.at(m.clock.Now()), true
}

// Records returns the whole table, in order.
func (m *Module) Records() []session.Record {
	m.expire()
	records := make([]session.Record, 0, len(m.sessions))
	for _, table := range m.tables {
		for _, s := range table {
			records = append(records, s.at(m.clock.Now()))
		}
	}
	return records
}
