package worker

import (
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/syncwire"
)

// settingsOf returns the settings that peers compare, without the digests of pool4.
func settingsOf(g joolnl.Globals, v joolnl.Version) syncwire.Settings {
	ms := func(d time.Duration) uint32 { return uint32(d.Milliseconds()) }
	s := syncwire.Settings{
		Pool6:           g.Pool6,
		TTLs:            [4]uint32{ms(g.TCPEstablished), ms(g.TCPTransitory), ms(g.UDP), ms(g.ICMP)},
		SSCapacity:      g.SSCapacity,
		SSMaxSessions:   g.SSMaxSessions,
		SSFlushDeadline: ms(g.SSFlushDeadline),
		SSMaxPayload:    g.SSMaxPayload,
	}
	if v.FlushesASAP() {
		s.SSFlushASAP = syncwire.SwitchOf(g.SSFlushASAP)
	}
	return s
}

// countersOf returns the counters on which package replication bases its decisions.
func countersOf(s *joolnl.Stats) replication.ModuleCounters {
	return replication.ModuleCounters{
		Sessions: s.Get(joolnl.StatSessions), Complete: s.Has(joolnl.StatPacketsRcvd), Packets: s.Get(joolnl.StatPacketsRcvd),
		Stored: s.Get(joolnl.StatSessionsRcvd), Reported: s.Get(joolnl.StatSessionsSent), Dropped: s.Get(joolnl.StatSessionsDropped),
		Translated: s.Get(joolnl.StatReceived6),
	}
}

// readKernel reads the instance's counters.
func (p *pumps) readKernel(now time.Time) {
	stats, err := p.module.AskStats()
	if err != nil {
		p.w.Check()
		return
	}
	p.kernelSays(stats, now)
}

// kernelSays processes the instance's counters. It may send, and so needs the thread's memory.
func (p *pumps) kernelSays(stats joolnl.Stats, now time.Time) {
	counters := countersOf(&stats)
	dropped, renewed := p.host.Polled(counters, now)
	if renewed {
		p.audit.Rebase()
	}
	p.auditKernel(counters, dropped, now)
}

// tick performs all actions that are due, and sets the timer for the next call. It requests counters and settings without the
// thread's memory: hundreds of threads may do so at the same time, and each would keep memory while it waits for the module.
func (p *pumps) tick() {
	p.thread.Quietly(p.conn.Asker(), func() {
		now := p.do.now()
		next := p.askWhenDue(now)
		p.borrow(func() {
			p.greetWhenDue(now)
			next = replication.Soonest(next, p.host.Tick(now))
			p.timer.Set(replication.Soonest(next, p.greetWhenDue(now)))
			p.publishRefused(now)
			p.publishLinks(now)
		})
	})
	p.w.turns.Add(1)
}

// wake makes the timer call tick soon.
func (p *pumps) wake(now time.Time) { p.timer.SetSooner(now) }
