package sim

import (
	"time"
)

// usageEvery is how long Usage is counted.
const usageEvery = 10 * time.Second

func (m *Monitor) checkUsage() {
	for i, n := range m.s.Nodes {
		used := n.Usage.since(m.usage[i])
		m.usage[i] = n.Usage
		if kept, most := n.kept(), m.bounds.Usage.Kept; most > 0 && kept > most {
			m.violated(i, RuleUsage, "%d sessions are kept in memory, the bound is %d", kept, most)
		}
		syncs := m.bounds.Usage.Syncs
		if syncs > 0 && !m.s.forged.IsZero() && m.s.Clock.Now().Sub(m.s.forged) <= usageEvery {
			syncs += m.bounds.Forged
		}
		for _, b := range []struct {
			what       string
			used, most int
		}{
			{"datagrams", used.Datagrams, m.bounds.Usage.Datagrams},
			{"bytes", used.Bytes, m.bounds.Usage.Bytes},
			{"JOOLD_ADDs", used.Adds, m.bounds.Usage.Adds},
			{"pages", used.Pages, m.bounds.Usage.Pages},
			{"full syncs", used.Syncs, syncs},
		} {
			if b.most > 0 && b.used > b.most {
				m.violated(i, RuleUsage, "%d %s in 10 s, the bound is %d", b.used, b.what, b.most)
			}
		}
	}
}

func (u Usage) since(before Usage) Usage {
	return Usage{Datagrams: u.Datagrams - before.Datagrams, Bytes: u.Bytes - before.Bytes, Adds: u.Adds - before.Adds, Pages: u.Pages - before.Pages,
		Syncs: u.Syncs - before.Syncs}
}
