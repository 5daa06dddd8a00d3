package replication

import (
	"math/rand/v2"
	"time"

	"joolctl/session"
	"joolctl/syncwire"
)

// senderHost reads its table in virtual time, and counts the messages that it sends.
type senderHost struct {
	*Sender
	now    time.Time
	takes  time.Duration // to read the table
	table  Snapshot
	due    time.Time // when the table will have been read
	read   func(Snapshot, error)
	busy   time.Duration
	ended  int // full syncs
	bulks  map[uint32]int
	begins map[uint32]int
	limits syncwire.Limits
	sizes  []int // sessions in each BULK
	per    []int // sessions per BULK, according to each BEGIN
	events []Event
	// refreshed has, for each time that the refreshes were sent, how many full syncs had begun before.
	refreshed []int
}

func newSenderHost(takes time.Duration) *senderHost {
	h := &senderHost{now: time.Unix(1_000_000, 0), takes: takes, limits: syncwire.NewLimits(syncwire.DefaultMTU, false, false), bulks: make(map[uint32]int), begins: make(map[uint32]int)}
	h.table.Records = recordsAt(20 * syncwire.MaxBulk)
	peers := NewPeers(PeersConfig{})
	h.Sender = NewSender(h, peers, NewKnowledge(3, peers), rand.New(rand.NewPCG(1, 2)))
	return h
}

// recordsAt returns so many sessions.
func recordsAt(n int) (records []session.Record) {
	for i := range n {
		records = append(records, sessionAt(i, 0))
	}
	return records
}

func (h *senderHost) Now() time.Time { return h.now }

func (h *senderHost) Post(fn func()) { fn() }

func (h *senderHost) Background(fn func()) { fn() }

func (h *senderHost) Sessions() int { return len(h.table.Records) }

func (h *senderHost) Settings() *syncwire.Settings { return &ttl }

func (h *senderHost) Limits() syncwire.Limits { return h.limits }

func (h *senderHost) Emit(e Event) { h.events = append(h.events, e) }

func (h *senderHost) OpenBatch() {}

func (h *senderHost) Flush() {}

func (h *senderHost) SendRefreshes() { h.refreshed = append(h.refreshed, len(h.begins)) }

func (h *senderHost) Reply(syncwire.Body, time.Time) {}

func (h *senderHost) ReadTable(_ int, base time.Time, _ func() bool, done func(Snapshot, error)) {
	h.table.Base, h.due, h.read = base, base.Add(h.takes), done
}

func (h *senderHost) Send(body syncwire.Body, _ []syncwire.ID) {
	switch b := body.(type) {
	case *syncwire.Begin:
		h.begins[b.FullSync]++
		h.per = append(h.per, b.SessionsPerBulk())
	case *syncwire.Bulk:
		h.bulks[b.FullSync]++
		h.sizes = append(h.sizes, len(b.Records)/syncwire.RecordLen)
	}
}

// run lets time pass, in steps of TransferTick.
func (h *senderHost) run(d time.Duration, each func()) {
	for end := h.now.Add(d); h.now.Before(end); h.now = h.now.Add(TransferTick) {
		each()
		before := h.current
		h.Tick(h.now)
		switch c := h.current; {
		case c == nil:
			if before != nil {
				h.ended++
			}
			continue
		case h.read != nil && !h.now.Before(h.due):
			read := h.read
			h.read = nil
			read(h.table, nil)
		}
		h.busy += TransferTick
	}
}

// transmits has the host send a full sync of so many BULKs up to END. It calls at once, when so many of them have been sent.
func (h *senderHost) transmits(c *transmission, after uint32, at func()) {
	h.current = c
	h.start(h.now)
	for called := false; h.current != nil || c.Pending(); {
		h.now = h.now.Add(TransferTick)
		if !called && c.next >= after {
			called = true
			at()
		}
		h.Tick(h.now)
	}
}
