package worker

import (
	"time"

	"joolctl/replication"
	"joolctl/session"
	"joolctl/syncwire"
)

// effects carries out what package replication decides.
type effects struct{ p *pumps }

func (e effects) Now() time.Time       { return e.p.do.now() }
func (e effects) Post(fn func())       { e.p.do.post(fn) }
func (e effects) Background(fn func()) { e.p.do.background(fn) }

func (e effects) Sessions() int { return e.p.sessions() }

func (e effects) ReadTable(sizeHint int, base time.Time, stop func() bool, done func(replication.Snapshot, error)) {
	e.p.do.readTable(sizeHint, base, stop, done)
}

func (e effects) Send(body syncwire.Body)                 { e.p.sendControl(body) }
func (e effects) Reply(body syncwire.Body, now time.Time) { e.p.answer(body, now) }
func (e effects) Hold()                                   { e.p.hold() }
func (e effects) Flush()                                  { e.p.flush() }
func (e effects) SendRefreshes()                          { e.p.hasten(e.p.do.now()) }

func (e effects) Holds(r *session.Record) bool { return e.p.holds(r) }

func (e effects) Settings() *syncwire.Settings { return &e.p.settings }

// newSender returns a Sender of the host's table.
func (p *pumps) newSender() *replication.Sender {
	return replication.NewSender(effects{p}, p.peers, p.knowledge, p.random)
}

// Emit logs an event, or acts on it.
func (e effects) Emit(event replication.Event) {
	switch ev := event.(type) {
	case replication.TableUnread:
		e.p.w.log.warn("reading the session table for a peer", "error", ev.Err)
	case replication.SessionUnfit:
		e.p.w.log.warn("a peer's session has no form for this module", "error", ev.Err)
	case replication.TableReleased:
		e.p.freeLater(ev.Sessions)
	}
}
