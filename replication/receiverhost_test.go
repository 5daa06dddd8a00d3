package replication

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// receiverHost is a host whose module has a list of sessions. Functions that were posted wait until run.
type receiverHost struct {
	*Receiver
	peer       *Peer // known, and with a Stream that has started
	now        time.Time
	module     map[session.Key]session.Record
	removed    []Mask
	slow       bool // reading the table takes until read is called
	read       func()
	unreadable error // of reading the table
	posted     []func()
	waiting    bool // datagrams wait in the socket
	active     time.Time
	sent       []syncwire.Body
	events     []Event
	counted    map[Counter]uint64
}

var (
	peerAddress  = netip.MustParseAddr("fd64::1")
	otherAddress = netip.MustParseAddr("fd64::2")
)

// newReceiverHost returns a host that has a peer, and has never compared its table with that of the peer.
func newReceiverHost(own ...session.Record) *receiverHost {
	h := &receiverHost{now: time.Unix(1_000_000, 0), module: make(map[session.Key]session.Record), counted: make(map[Counter]uint64)}
	for _, r := range own {
		h.module[r.Key()] = r
	}
	peers := NewPeers(PeersConfig{})
	knowledge := NewKnowledge(0x3000, peers)
	knowledge.Longest = ttl.Longest()
	h.Receiver = NewReceiver(h, peers, knowledge, NewSender(&senderHost{}, peers, knowledge, rand.New(rand.NewPCG(1, 2))))
	h.Beats = Beats{Epoch: h.now}
	h.peer = h.heard(0x10f, peerAddress)
	return h
}

// heard has a peer be heard now.
func (h *receiverHost) heard(id syncwire.ID, from netip.Addr) *Peer {
	known := h.peers.Heard(from, id, h.now)
	if !known.Stream.Started() {
		known.Stream.Start(1)
	}
	return known
}

func (h *receiverHost) Now() time.Time            { return h.now }
func (h *receiverHost) Post(fn func())            { h.posted = append(h.posted, fn) }
func (h *receiverHost) Background(fn func())      { fn() }
func (h *receiverHost) Sessions() int             { return len(h.module) }
func (h *receiverHost) ReadCounters(time.Time)    {}
func (h *receiverHost) ReadErrors()               {}
func (h *receiverHost) FlushStored()              {}
func (h *receiverHost) Count(c Counter, n uint64) { h.counted[c] += n }
func (h *receiverHost) Ignore(_ string, b []byte) {
	h.counted[CountIgnored] += uint64(session.ListFormat(b).CountList(b))
}
func (h *receiverHost) Send(body syncwire.Body, _ []syncwire.ID)    { h.sent = append(h.sent, body) }
func (h *receiverHost) Reply(body syncwire.Body, _ time.Time)       { h.sent = append(h.sent, body) }
func (h *receiverHost) SendRefreshes()                              {}
func (h *receiverHost) OpenBatch()                                  {}
func (h *receiverHost) Flush()                                      {}
func (h *receiverHost) Settings() *syncwire.Settings                { return &ttl }
func (h *receiverHost) Waiting() bool                               { return h.waiting }
func (h *receiverHost) AskHellos(time.Duration, time.Time)          {}
func (h *receiverHost) HelloSoon(time.Time)                         {}
func (h *receiverHost) Wake(time.Time)                              {}
func (h *receiverHost) Active() time.Time                           { return h.active }
func (h *receiverHost) Progressed(time.Time)                        {}
func (h *receiverHost) Emit(e Event)                                { h.events = append(h.events, e) }
func (h *receiverHost) Keeps(r *session.Record) bool                { _, has := h.module[r.Key()]; return has }
func (h *receiverHost) Deliver(entries []byte, _ bool, _ time.Time) { h.store(entries) }

func (h *receiverHost) ReadTable(_ int, base time.Time, stop func() bool, done func(Snapshot, error)) {
	h.read = func() {
		t := Snapshot{Base: base}
		for _, r := range h.module {
			t.Records = append(t.Records, r)
		}
		byKey(t.Records)
		if !stop() {
			done(t, h.unreadable)
		}
	}
	if !h.slow {
		h.read()
	}
}

// Inject gives the module the sessions of one message.
func (h *receiverHost) Inject(i *Injection) (more bool) {
	h.store(i.Batch(nil, session.Packed40, netip.Prefix{}, h, h.now))
	done, total := i.Progress()
	return done < total
}

// store overwrites what the module has, but not if another session of it has the mask.
func (h *receiverHost) store(entries []byte) {
	f := session.Packed40
	for ; len(entries) > 0; entries = entries[f.EntryLen():] {
		r := f.Record(entries)
		taken := false
		for _, other := range h.module {
			taken = taken || maskOf(&other) == maskOf(&r) && hostOf(&other) != hostOf(&r)
		}
		if !taken {
			h.module[r.Key()] = r
		}
	}
}

func (h *receiverHost) RemoveBIB(masks []Mask) {
	h.removed = append(h.removed, masks...)
	for key, r := range h.module {
		if slices.Contains(masks, maskOf(&r)) {
			delete(h.module, key)
		}
	}
}

// run calls what was posted.
func (h *receiverHost) run() {
	for len(h.posted) > 0 {
		fn := h.posted[0]
		h.posted = h.posted[1:]
		fn()
	}
}

// begins has the peer send the BEGIN of a full sync of so many sessions, which this host has requested.
func (h *receiverHost) begins(id uint32, sessions int) {
	h.tried = []syncwire.ID{h.peer.ID}
	h.Begin(&syncwire.Begin{FullSync: id, Sessions: uint32(sessions), Settings: ttl, Audience: []syncwire.ID{h.knowledge.Self()}}, h.peer, h.now, h.now)
}

// bulk has the peer send BULK index of a table.
func (h *receiverHost) bulk(id, index uint32, table []session.Record) {
	at := int(index) * syncwire.MaxBulk
	h.Bulk(&syncwire.Bulk{FullSync: id, Index: index, Records: recordBytes(table[at:min(at+syncwire.MaxBulk, len(table))])}, h.peer, h.now, h.now)
}

// ends has the peer send END.
func (h *receiverHost) ends(id uint32, sessions int) {
	h.End(&syncwire.End{FullSync: id, Sessions: uint32(sessions), Bulks: bulksOf(uint32(sessions))}, h.peer, h.now)
}

// bulksOf returns the number of BULKs of so many sessions.
func bulksOf(sessions uint32) uint32 { return (sessions + syncwire.MaxBulk - 1) / syncwire.MaxBulk }

// receives has the peer send a whole table.
func (h *receiverHost) receives(id uint32, table []session.Record) {
	h.begins(id, len(table))
	h.run()
	for i := range bulksOf(uint32(len(table))) {
		h.bulk(id, i, table)
		h.run()
	}
	h.ends(id, len(table))
	h.run()
}

// givesUp lets the sender send only HELLOs until the host gives the full sync up.
func (h *receiverHost) givesUp(t *testing.T) {
	t.Helper()
	for range MaxStalls + 1 {
		h.now = h.now.Add(StallFor)
		h.heard(h.peer.ID, h.peer.Address)
		h.tick(h.now)
	}
	if h.stopped == nil {
		t.Fatal("the host does not give up")
	}
}

// last returns the result of the last full sync.
func (h *receiverHost) last() SyncReport {
	for _, e := range slices.Backward(h.events) {
		if ended, is := e.(SyncEnded); is {
			return ended.SyncReport
		}
	}
	return SyncReport{}
}

func recordBytes(records []session.Record) (list []byte) {
	for i := range records {
		list = append(list, records[i][:]...)
	}
	return list
}

func has(records map[session.Key]session.Record, r session.Record) bool {
	_, is := records[r.Key()]
	return is
}

// sessionsOfMasks returns n sessions of different masks.
func sessionsOfMasks(n int, idleFor time.Duration) (list []session.Record) {
	for i := range n {
		list = append(list, sessionAt(4*i, idleFor))
	}
	return list
}
