package workertest

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

// Pool6 is the pool6 of every instance.
var Pool6 = netip.MustParsePrefix("64:ff9b::/96")

// Table is the session table of an instance. It behaves like the module's: a session in a JOOLD_ADD overwrites the stored one,
// even if that is newer; a session that collides with another BIB entry is refused without an error; sessions expire.
type Table struct {
	mu       sync.Mutex
	sessions map[session.Key]stored
	masks    map[bibHost]bibMask
	hosts    map[bibMask]bibHost
	counts   map[bibMask]int  // sessions of a BIB entry
	sorted   [3][]session.Key // in SESSION_FOREACH's order; nil: not sorted yet

	first time.Time // no session expires before this time

	added, refused, removed int
}

type stored struct {
	record session.Record
	ends   time.Time
}

// The two sides of a BIB entry.
type (
	bibHost [19]byte // src6, its port, protocol
	bibMask [7]byte  // src4, its port, protocol
)

// NewTable returns an empty table.
func NewTable() *Table {
	return &Table{sessions: make(map[session.Key]stored), masks: make(map[bibHost]bibMask),
		hosts: make(map[bibMask]bibHost), counts: make(map[bibMask]int)}
}

// Put stores sessions as if the module had just translated packets of them. It removes BIB entries that collide with them.
func (t *Table) Put(records ...session.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for _, r := range records {
		host, mask := sides(&r)
		if other, taken := t.hosts[mask]; taken && other != host {
			t.removeBIB(mask)
		}
		if other, has := t.masks[host]; has && other != mask {
			t.removeBIB(other)
		}
		t.store(r, now)
	}
}

// Records returns the sessions with their present times left, sorted by key.
func (t *Table) Records() []session.Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.expire(now)
	list := make([]session.Record, 0, len(t.sessions))
	for _, s := range t.sessions {
		list = append(list, s.left(now))
	}
	slices.SortFunc(list, func(a, b session.Record) int {
		ka, kb := a.Key(), b.Key()
		return bytes.Compare(ka[:], kb[:])
	})
	return list
}

// Get returns a session with its present time left, and whether the table has it.
func (t *Table) Get(k session.Key) (session.Record, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.expire(now)
	s, ok := t.sessions[k]
	return s.left(now), ok
}

// Len returns the number of sessions.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	return len(t.sessions)
}

// Counts returns how many sessions arrived in JOOLD_ADDs, how many of these were refused, and how many BIB entries were removed
// by a BIB_RM.
func (t *Table) Counts() (added, refused, removed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.added, t.refused, t.removed
}

func (s stored) left(now time.Time) session.Record {
	r := s.record
	r.SetExpires(uint32(max(s.ends.Sub(now).Milliseconds(), 0)))
	return r
}

func sides(r *session.Record) (host bibHost, mask bibMask) {
	key := r.Key()
	copy(host[:], key[:18])
	host[18] = byte(r.Proto())
	copy(mask[:4], r[16:20])
	copy(mask[4:6], r[30:32])
	mask[6] = byte(r.Proto())
	return host, mask
}

// add processes the sessions of a JOOLD_ADD.
func (t *Table) add(entries []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.expire(now)
	for f := session.ListFormat(entries); len(entries) > 0; entries = entries[f.EntryLen():] {
		if f.Check(entries) != nil {
			panic("a JOOLD_ADD has a session that would crash a real module")
		}
		t.added++
		r := f.Record(entries)
		host, mask := sides(&r)
		if other, taken := t.hosts[mask]; taken && other != host {
			t.refused++
			continue
		}
		if old, has := t.masks[host]; has && old != mask {
			if _, is := t.sessions[r.Key()]; is {
				t.refused++
				continue
			}
			copy(r[16:20], old[:4]) // the module keeps the old mask
			copy(r[30:32], old[4:6])
		}
		t.store(r, now)
	}
}

// store stores a session that collides with no BIB entry.
func (t *Table) store(r session.Record, now time.Time) {
	key := r.Key()
	if _, is := t.sessions[key]; !is {
		host, mask := sides(&r)
		t.masks[host], t.hosts[mask] = mask, host
		t.counts[mask]++
		t.sorted[r.Proto()] = nil
	}
	s := stored{r, now.Add(time.Duration(r.Expires()) * time.Millisecond)}
	if len(t.sessions) == 0 || s.ends.Before(t.first) {
		t.first = s.ends
	}
	t.sessions[key] = s
}

func (t *Table) expire(now time.Time) {
	if now.Before(t.first) {
		return
	}
	t.first = now.Add(time.Hour)
	for key, s := range t.sessions {
		if !now.Before(s.ends) {
			t.remove(key)
		} else if s.ends.Before(t.first) {
			t.first = s.ends
		}
	}
}

func (t *Table) remove(key session.Key) {
	r := t.sessions[key].record
	delete(t.sessions, key)
	t.sorted[r.Proto()] = nil
	host, mask := sides(&r)
	if t.counts[mask]--; t.counts[mask] == 0 {
		delete(t.counts, mask)
		delete(t.hosts, mask)
		delete(t.masks, host)
	}
}

// removeBIB removes a BIB entry and its sessions.
func (t *Table) removeBIB(mask bibMask) {
	for key, s := range t.sessions {
		if _, m := sides(&s.record); m == mask {
			t.remove(key)
		}
	}
}

// removeBIB processes a BIB_RM. Its attributes are an operand (10) with the mask (2, which has the address, 1, and the port, 2)
// and the protocol (3).
func (i *Instance) removeBIB(m joolnl.Message) {
	t := i.Sessions
	t.mu.Lock()
	defer t.mu.Unlock()
	var mask bibMask
	a := m.Attrs
	copy(mask[:4], a[12:16])
	binary.BigEndian.PutUint16(mask[4:], binary.NativeEndian.Uint16(a[20:]))
	mask[6] = a[28]
	if _, there := t.hosts[mask]; there {
		t.removed++
		t.removeBIB(mask)
	}
}

// order returns the key by which SESSION_FOREACH sorts sessions: src4, then dst4.
func order(r *session.Record) (o [12]byte) {
	copy(o[:4], r[16:20])
	copy(o[4:6], r[30:32])
	copy(o[6:10], r[20:24])
	copy(o[10:], r[32:34])
	return o
}

// page returns the sessions of a protocol after an offset, in the nested format, and whether there are more.
func (t *Table) page(p session.Proto, behind []byte) (page []byte, more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.expire(now)
	list := t.sorted[p]
	if list == nil {
		list = make([]session.Key, 0, len(t.sessions))
		for key, s := range t.sessions {
			if s.record.Proto() == p {
				list = append(list, key)
			}
		}
		slices.SortFunc(list, func(a, b session.Key) int { return bytes.Compare(t.at(a), t.at(b)) })
		t.sorted[p] = list
	}
	first := 0
	if behind != nil {
		var found bool
		first, found = slices.BinarySearchFunc(list, behind, func(k session.Key, o []byte) int { return bytes.Compare(t.at(k), o) })
		if found {
			first++
		}
	}
	list = list[first:]
	for _, key := range list[:min(pageLen, len(list))] {
		r := t.sessions[key].left(now)
		var err error
		if page, err = session.Nested.AppendRecord(page, &r, Pool6); err != nil {
			panic(err)
		}
	}
	return page, len(list) > pageLen
}

// reply returns a page of SESSION_FOREACH, and the flag for a further page. offset, if not nil, has src4 and dst4 in the nested
// format.
func (t *Table) reply(p session.Proto, offset []byte) (page []byte, flags byte) {
	var behind []byte
	if offset != nil {
		behind = make([]byte, 12)
		for i, at := range []int{0, 20} { // src4 and dst4
			copy(behind[6*i:], offset[at+8:at+12])
			binary.BigEndian.PutUint16(behind[6*i+4:], binary.NativeEndian.Uint16(offset[at+16:]))
		}
	}
	page, more := t.page(p, behind)
	if more {
		flags = 8
	}
	return page, flags
}

func (t *Table) at(k session.Key) []byte {
	r := t.sessions[k].record
	o := order(&r)
	return o[:]
}
