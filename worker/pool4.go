package worker

import (
	"time"

	"joolctl/joolnl"
	"joolctl/session"
)

const (
	// pool4Every is the interval at which the worker reads pool4, because the module does not announce changes of it. pool4Idle is
	// the interval without traffic.
	pool4Every = 10 * time.Second
	pool4Idle  = 30 * time.Second
	// maxPool4 bounds how many entries the worker reads. If pool4 has more, its digests are unknown.
	maxPool4 = 1 << 16
)

// refreshPool4 reads pool4 and computes the digests for HELLO. It reads page by page, and interrupts itself after each slice so
// that the thread can process traffic.
func (p *pumps) refreshPool4(now time.Time) {
	if now.Before(p.pool4Due) {
		return
	}
	p.pool4Due = now.Add(pool4Every)
	if p.host.Idle(now) {
		p.pool4Due = now.Add(pool4Idle)
	}
	var entries []joolnl.Pool4Entry
	proto, last, more := session.TCP, (*joolnl.Pool4Entry)(nil), false
	var step func()
	step = func() {
		for began := p.do.now(); p.do.now().Sub(began) < slice; {
			before := len(entries)
			var err error
			entries, more, err = p.module.AskPool4(entries, proto, last)
			if err != nil || len(entries) > maxPool4 {
				p.host.SetDigests(0, 0, p.do.now()) // unknown until the next attempt succeeds
				return
			}
			switch {
			case more && len(entries) > before:
				e := entries[len(entries)-1]
				last = &e
			case proto < session.ICMP:
				proto, last = proto+1, nil
			default:
				p.host.SetDigests(joolnl.Pool4Digest(entries), joolnl.IterationsDigest(entries), p.do.now())
				return
			}
		}
		p.do.post(step)
	}
	step()
}
