package supervisor

import "net/netip"

// statsSocket is a pair's stats server. It stays open when the pair's worker is replaced.
type statsSocket struct {
	address netip.Addr
	port    uint16
	// server is nil if it could not be opened; problem says why.
	server  StatsServer
	problem string
}

// placeStats moves every pair's stats server to the port in its spec. It closes all that move before it opens others, so
// that two pairs can swap their ports.
func (s *Supervisor) placeStats() {
	for _, p := range s.pairs {
		if p.stats.port != p.statsPort() || p.stats.address != p.spec.StatsAddress {
			p.closeStats()
			p.stats.port, p.stats.address = p.statsPort(), p.spec.StatsAddress
		}
	}
	s.openStats()
}

// openStats opens the stats servers that are missing.
func (s *Supervisor) openStats() {
	for _, p := range s.pairs {
		if p.stats.port == 0 || p.stats.server != nil {
			continue
		}
		server, err := s.opt.OpenStats(p.spec, p.counters.Stats)
		if err == nil {
			p.stats.server, p.stats.problem = server, ""
			continue
		}
		if p.stats.problem != err.Error() {
			p.stats.problem = err.Error()
			s.log.Error("no stats server; it is tried again", "pair", p.name, "error", err)
		}
	}
}

// statsPort is the port that the pair's stats server should have; 0: none.
func (p *pair) statsPort() uint16 {
	if !p.has() {
		return 0
	}
	return p.spec.StatsPort
}

func (p *pair) closeStats() {
	if p.stats.server != nil {
		p.stats.server.Close()
	}
	p.stats = statsSocket{}
}
