package worker

import (
	"context"
	"log/slog"

	"joolctl/session"
)

// explains reports whether the log takes an explanation of each session that is not given to the module: a line for each of them,
// which only the level debug has.
func (p *pumps) explains() bool { return p.w.log.to().Enabled(context.Background(), slog.LevelDebug) }

// explain logs why a session is not given to the module.
func (p *pumps) explain(message, why string, r *session.Record) {
	b, err := p.format.AppendRecord(nil, r, p.host.Settings().Pool6)
	var s session.Session
	if err == nil {
		s, err = p.format.Decode(b, p.host.Settings().Pool6)
	}
	if err != nil { // without the fields that this format can't express
		p.w.log.to().Debug(message, "why", why, "protocol", r.Proto(), "state", r.State(), "ipv4_local", r.Src4())
		return
	}
	p.w.log.to().Debug(message, "why", why, "protocol", s.Proto, "state", s.State, "expires", s.Expires,
		"ipv6_remote", s.Src6, "ipv6_local", s.Dst6, "ipv4_local", s.Src4, "ipv4_remote", s.Dst4)
}
