package sim

import (
	"time"

	"joolctl/session"
)

// Upstream is a Replica that does what upstream's joold does: it acknowledges and multicasts each report, and gives the
// sessions of each datagram to its module. It knows nothing about loss, order or completeness.
type Upstream struct {
	env *Env
}

// NewUpstream is the Factory of Upstream.
func NewUpstream(e *Env) Replica { return &Upstream{e} }

// Start does nothing: joold starts without a word to the module.
func (u *Upstream) Start(time.Time, []byte) {}

// Stop leaves nothing for a successor.
func (u *Upstream) Stop(time.Time) []byte { return nil }

// Report acknowledges the report and multicasts it.
func (u *Upstream) Report(_ time.Time, entries []byte) {
	u.env.Send(entries)
	u.env.Ack(1)
}

// Overrun does nothing: joold does not notice.
func (u *Upstream) Overrun(time.Time) {}

// Datagram gives the sessions at the front of the datagram to the module, as far as they have its format.
func (u *Upstream) Datagram(_ time.Time, d Datagram) {
	f := u.env.Version().Format()
	if session.ListFormat(d.Data) != f {
		return
	}
	if n, _ := f.CheckList(d.Data); n > 0 {
		_ = u.env.Add(d.Data[:n*f.EntryLen()]) // joold logs the error, and the sessions are lost
	}
}

// Regrouped does nothing: only a restart moves joold.
func (u *Upstream) Regrouped(time.Time) {}

// Advertise does nothing: the module would report its table.
func (u *Upstream) Advertise(time.Time) {}

// Wake has nothing to do.
func (u *Upstream) Wake(time.Time) time.Time { return time.Time{} }

// Verdict is always alone: joold makes no promise.
func (u *Upstream) Verdict(time.Time) Verdict { return Verdict{Answer: Alone} }

// Phase is always the same.
func (u *Upstream) Phase() string { return "upstream" }
