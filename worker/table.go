package worker

import (
	"time"

	"joolctl/replication"
	"joolctl/session"
)

// slice is how long a long task may use the instance's thread before traffic is processed.
const slice = 2 * time.Millisecond

// readTable reads the instance's whole table and passes it to done on the instance's thread. It reads page by page, and interrupts
// itself after each slice so that the thread can process traffic. It gives up, without calling done, once stop returns true.
func (p *pumps) readTable(sizeHint int, base time.Time, stop func() bool, done func(replication.Snapshot, error)) {
	t := replication.Snapshot{Records: make([]session.Record, 0, sizeHint+sizeHint/16), Base: base}
	var page []session.Session
	proto, last, more := session.TCP, (*session.Session)(nil), false
	var step func()
	step = func() {
		if p.module == nil || stop() {
			return
		}
		for began := p.do.now(); p.do.now().Sub(began) < slice; {
			var err error
			page, more, err = p.module.AskSessions(page[:0], proto, last)
			if err != nil {
				done(replication.Snapshot{}, err)
				return
			}
			later := uint32(max(p.do.now().Sub(base).Milliseconds(), 0))
			for _, s := range page {
				r := s.Record()
				if r.Check() == nil {
					r.SetExpires(r.Expires() + later)
					t.Records = append(t.Records, r)
				}
			}
			switch {
			case more && len(page) > 0:
				s := page[len(page)-1]
				last = &s
			case proto < session.ICMP:
				proto, last = proto+1, nil
			default:
				done(t, nil)
				return
			}
		}
		p.do.post(step)
	}
	step()
}
