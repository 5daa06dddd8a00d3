package worker

import "joolctl/session"

// injectFor gives the module the next sessions of the full sync, for no longer than slice. It returns false if these were the
// last.
func (p *pumps) injectFor(in *incoming) (more bool) {
	began := p.do.now()
	for done, total := in.injection.Progress(); done < total && p.do.now().Sub(began) < slice; done, total = in.injection.Progress() {
		entries := in.injection.Batch(p.injectBuf[:0], p.format, p.settings.Pool6, effects{p}, began)
		p.injectBuf = entries
		if len(entries) > 0 {
			p.w.counters.injected.Add(uint64(len(entries) / p.format.EntryLen()))
			p.cut(entries)
			p.add(entries)
			p.toKernel()
		}
	}
	done, total := in.injection.Progress()
	return done < total
}

// holds reports whether the module holds a session. If that is not known, the session counts as one that the module had
// no memory for.
func (p *pumps) holds(r *session.Record) bool {
	_, there, page, err := p.module.AskSession(p.lookups.page[:0], r)
	p.lookups.page = page[:0]
	if err != nil {
		p.w.log.warn("looking up a session of a resync", "error", err)
		p.doubt(p.do.now())
		return true
	}
	return there
}
