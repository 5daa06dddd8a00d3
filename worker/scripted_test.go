package worker

import (
	"testing"

	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// scripted is a peer whose messages the test sends.
type scripted struct {
	*plain
	id   syncwire.ID
	last syncwire.Seq
}

func newScripted(t testing.TB, ns string) *scripted {
	return &scripted{plain: openPlain(t, ns, group6, port, "sync"), id: 77}
}

func (s *scripted) say(body syncwire.Body) {
	s.t.Helper()
	s.send(syncwire.Message{Sender: s.id, Last: s.last, Body: body}.Append(nil))
}

// live sends records in the peer's next live datagram.
func (s *scripted) live(records ...session.Record) {
	s.t.Helper()
	s.last++
	s.send(syncwire.Trailer{Kind: syncwire.Live, Sender: s.id, Seq: s.last}.Append(packed(s.t, records...)))
}

// packed returns records in the format of the newest module.
func packed(t testing.TB, records ...session.Record) []byte {
	t.Helper()
	var list []byte
	for i := range records {
		var err error
		if list, err = session.Packed40.AppendRecord(list, &records[i], workertest.Pool6); err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// beside starts a worker with an empty table, and returns it with a scripted peer.
func beside(t *testing.T) (*scripted, *host) {
	t.Helper()
	a, b := hosts(t)
	return newScripted(t, a), newStandby(t, jool4115, b).start()
}

// asked sends a HELLO whose generation says that the peer has sessions which it has not sent in live datagrams. It waits for the
// SOLICIT, and returns its sender.
func (s *scripted) asked(sessions int) (by syncwire.ID) {
	s.t.Helper()
	s.say(&syncwire.Hello{Sync: syncwire.SyncYes, Sessions: uint32(sessions), Settings: ttl, Generation: 1})
	for {
		solicit, m := control[*syncwire.Solicit](s.plain)
		if solicit.To == s.id {
			return m.Sender
		}
	}
}

func (s *scripted) begin(to syncwire.ID, id uint32, sessions int) {
	s.t.Helper()
	s.say(&syncwire.Begin{FullSync: id, Audience: []syncwire.ID{to}, Sessions: uint32(sessions), Settings: ttl, Vector: s.whole()})
}

// whole returns the vector of the peer's table.
func (s *scripted) whole() []syncwire.Component {
	at := syncwire.Position{Generation: 1, Seq: s.last}
	return []syncwire.Component{{Origin: s.id, Known: true, Complete: at, Highest: at}}
}

func (s *scripted) bulk(id uint32, index int, records []session.Record) {
	s.t.Helper()
	records = records[index*syncwire.MaxBulk:]
	var b []byte
	for _, r := range records[:min(syncwire.MaxBulk, len(records))] {
		b = append(b, r[:]...)
	}
	s.say(&syncwire.Bulk{FullSync: id, Index: uint32(index), Records: b})
}

func (s *scripted) end(id uint32, sessions int) {
	s.t.Helper()
	s.say(&syncwire.End{FullSync: id, Sessions: uint32(sessions), Bulks: uint32(bulksOf(sessions))})
}

func bulksOf(sessions int) int { return (sessions + syncwire.MaxBulk - 1) / syncwire.MaxBulk }

// nacked waits for a NACK for BULKs of a full sync, and returns its ranges.
func (s *scripted) nacked(id uint32) []syncwire.Range {
	s.t.Helper()
	for {
		if n, _ := control[*syncwire.Nack](s.plain); n.FullSync == id {
			return n.Ranges
		}
	}
}
