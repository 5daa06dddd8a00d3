package worker

import (
	"runtime/debug"

	"joolctl/replication"
	"joolctl/session"
)

// largeTable is the number of sessions above which the memory of a table is returned to the operating system at once.
const largeTable = 100_000

// injectFor gives the next sessions of a full sync to the module, for no longer than slice. It returns whether there are more.
func (p *pumps) injectFor(i *replication.Injection) (more bool) {
	began := p.do.now()
	for done, total := i.Progress(); done < total && p.do.now().Sub(began) < slice; done, total = i.Progress() {
		entries := i.Batch(p.injectBuf[:0], p.format, p.host.Settings().Pool6, effects{p}, began)
		p.injectBuf = entries
		if len(entries) > 0 {
			p.w.counters.injected.Add(uint64(len(entries) / p.format.EntryLen()))
			p.cut(entries)
			p.copyToFollowers(FullSync, entries)
			p.add(entries)
			p.toKernel()
		}
	}
	done, total := i.Progress()
	return done < total
}

// keeps reports whether the module has a record of a session that is not older. If the lookup fails, the host no longer trusts its vector,
// as if the kernel had had no memory for the session.
func (p *pumps) keeps(r *session.Record) bool {
	own, there, err := p.lookup(r)
	if err != nil {
		p.w.log.warn("a session of a full sync could not be looked up in the module", "error", err)
		p.host.Doubt(p.do.now())
		return true
	}
	return there && p.host.Keeps(&own, r)
}

// lookup returns the module's record of a session.
func (p *pumps) lookup(r *session.Record) (own session.Record, there bool, err error) {
	own, there, page, err := p.module.AskSession(p.page[:0], r)
	p.page = page[:0]
	return own, there, err
}

// removeBIB removes BIB entries from the module.
func (p *pumps) removeBIB(masks []replication.Mask) {
	for _, m := range masks {
		if err := p.module.AskRemoveBIB(m.Proto, m.Src4); err != nil {
			p.w.log.warn("an old BIB entry could not be removed", "protocol", m.Proto, "mask", m.Src4, "error", err)
		}
	}
}

// freeLater returns the memory of a large table to the operating system, in the background.
func (p *pumps) freeLater(sessions int) {
	if sessions > largeTable {
		go debug.FreeOSMemory()
	}
}
