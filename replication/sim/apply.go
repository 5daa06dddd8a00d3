package sim

import "time"

// begin puts a fault into force, and schedules its end.
func (s *Simulation) begin(f Fault) {
	s.check(f)
	s.Trace.Event(f.Host, "fault "+f.Kind.String(), nil, int64(f.For), int64(f.Peer))
	s.Trace.Note(f.Host, "begins: %v", f)
	s.cover(f)
	s.active = append(s.active, f)
	undo := s.apply(f)
	s.Clock.After(f.For, func() {
		undo()
		s.Trace.Note(f.Host, "ends: %v", f)
		for i := range s.active {
			if s.active[i] == f {
				s.active = append(s.active[:i:i], s.active[i+1:]...)
				break
			}
		}
		s.cover(f)
	})
}

func nothing() {}

// apply changes the simulation as a fault does, and returns what ends it.
func (s *Simulation) apply(f Fault) (undo func()) {
	switch f.Kind {
	case Loss, Duplicate, Reorder, Delay, OneWay, Partition, Merge:
		return s.impair(f)
	case Drops, SilentLoss, NoMemory, RequestLoss, Deadline, Recreate:
		return s.disturb(f)
	case OldWire:
		return s.otherWire(f.Host)
	case Kill, Restart, Stall, Crash, OldJoold:
		return s.interrupt(f)
	case Burst:
		s.burst(f.Host, int(f.Amount))
	case Overrun:
		s.Nodes[f.Host].overrunNext(int(f.Amount))
	case Failover:
		s.failover(f.Host, f.Peer)
	case Regroup:
		s.regroup(f.Host, 1)
		return func() { s.regroup(f.Host, -1) }
	case Forge:
		return s.forge(f.Host)
	case Advertise:
		return s.Nodes[f.Host].advertise(time.Duration(f.Amount) * time.Millisecond)
	}
	return nothing
}

// impair applies a fault of the network.
func (s *Simulation) impair(f Fault) (undo func()) {
	i := &Impairment{From: f.Host, To: f.Peer}
	switch f.Kind {
	case Loss:
		i.Loss = f.Amount
	case Duplicate:
		i.Duplicate = f.Amount
	case Reorder:
		i.Reorder = f.Amount
	case Delay:
		i.Delay = time.Duration(f.Amount) * time.Millisecond
	case OneWay:
		i.Cut = true
	default:
		i.Side = f.Sides
	}
	s.Network.Begin(i)
	return func() { s.Network.End(i) }
}

// disturb applies a fault of a module.
func (s *Simulation) disturb(f Fault) (undo func()) {
	m := s.Nodes[f.Host].Module
	switch f.Kind {
	case Drops:
		return s.drop(f)
	case SilentLoss:
		m.ReportLoss += f.Amount
		return func() { m.ReportLoss -= f.Amount }
	case NoMemory:
		m.NoMemory += f.Amount
		return func() { m.NoMemory -= f.Amount }
	case RequestLoss:
		m.RequestLoss += f.Amount
		return func() { m.RequestLoss -= f.Amount }
	case Deadline:
		m.Globals.SSFlushDeadline = time.Duration(f.Amount) * time.Millisecond
		return func() { m.Globals.SSFlushDeadline = m.config.Globals.SSFlushDeadline }
	}
	return s.recreate(f)
}

// recreate removes an instance. If that takes time, the worker ends meanwhile, or has been stopped in good order before.
func (s *Simulation) recreate(f Fault) (undo func()) {
	n, st := s.Nodes[f.Host], &s.states[f.Host]
	if n.Module.Gone() {
		return nothing
	}
	if f.For == 0 {
		n.Module.Recreate()
		return nothing
	}
	if f.Amount > stopsBefore && n.Running() {
		st.kept = n.stop(true)
	}
	n.Module.Remove()
	n.stop(false)
	st.downs++
	return func() {
		st.downs--
		if st.crashes == 0 {
			n.Module.Create()
		}
		s.revive(f.Host)
	}
}

// stopsBefore is the Amount of a Recreate above which the worker stops before the instance is removed.
const stopsBefore = 0.3

// drop makes the queue of a module so short that bursts of connections overflow it.
func (s *Simulation) drop(f Fault) (undo func()) {
	m := s.Nodes[f.Host].Module
	m.Globals.SSCapacity = uint32(f.Amount)
	over := false
	var burst func()
	burst = func() {
		if !over {
			s.burst(f.Host, 2*int(f.Amount)+2)
			s.Clock.After(dropEvery, burst)
		}
	}
	burst()
	return func() {
		over = true
		m.Globals.SSCapacity = m.config.Globals.SSCapacity
	}
}

// dropEvery is the pause between two bursts of connections.
const dropEvery = 500 * time.Millisecond

// burst opens connections at once through a host, if it is active.
func (s *Simulation) burst(host, n int) {
	for lane := range s.Workload.lanes {
		if s.Workload.Active(lane) == host {
			s.Workload.Burst(lane, n)
		}
	}
}

// otherWire gives a host another version of the wire format. To the other hosts its datagrams are unnumbered, and to it
// theirs are.
func (s *Simulation) otherWire(host int) (undo func()) {
	change := func(by int) {
		s.Network.ports[host].wires += by
		s.Network.reconnect()
		for _, n := range s.Nodes {
			n.Module.unnumbered += by
		}
	}
	change(1)
	return func() { change(-1) }
}

// failover moves the traffic of one host to another.
func (s *Simulation) failover(from, to int) {
	for lane := range s.Workload.lanes {
		if s.Workload.Active(lane) == from {
			s.Workload.Failover(lane, to)
		}
	}
}

// interrupt applies a fault of a host or of its worker.
func (s *Simulation) interrupt(f Fault) (undo func()) {
	n, st := s.Nodes[f.Host], &s.states[f.Host]
	switch f.Kind {
	case Stall:
		return n.stall()
	case Crash:
		return s.crash(f)
	case OldJoold:
		st.upstreams++
		n.stop(false)
		s.revive(f.Host)
		return func() {
			st.upstreams--
			n.stop(false)
			s.revive(f.Host)
		}
	case Restart:
		if n.Running() {
			st.kept = n.stop(true)
		}
	default:
		if n.Running() { // otherwise the last worker's sockets and checkpoint wait for the next worker
			n.kill()
			st.kept = nil
		}
	}
	st.downs++
	return func() {
		st.downs--
		s.revive(f.Host)
	}
}

// crash turns a host off. It returns with an empty table.
func (s *Simulation) crash(f Fault) (undo func()) {
	n, st := s.Nodes[f.Host], &s.states[f.Host]
	n.kill()
	n.Module.Remove()
	st.downs++
	st.crashes++
	st.kept = nil
	s.Network.SetDown(f.Host, true)
	s.failover(f.Host, f.Peer)
	return func() {
		st.downs--
		if st.crashes--; st.crashes == 0 {
			n.Module.Create()
			s.Network.SetDown(f.Host, false)
		}
		s.revive(f.Host)
	}
}

// regroup moves a host to another group.
func (s *Simulation) regroup(host, by int) {
	s.Network.Join(host, s.Network.Group(host)+by)
	n := s.Nodes[host]
	n.enter(func(now time.Time) {
		n.moved = now
		n.datagrams.take() // the other group has another socket
		n.replica.Regrouped(now)
	})
}

// forge sends forged datagrams to a host until the returned function is called.
func (s *Simulation) forge(host int) (undo func()) {
	const every = 100 * time.Millisecond
	r := stream(s.config.Seed, "forge", host, int(s.Clock.Elapsed()/time.Millisecond))
	over := false
	var send func()
	send = func() {
		if over {
			return
		}
		source := stranger
		if r.IntN(2) == 0 {
			source = s.Network.ports[r.IntN(len(s.Nodes))].source
		}
		if !s.Network.ports[host].down {
			s.forged = s.Clock.Now()
			s.Network.Inject(host, source, s.config.Forger(r, s.lately))
		}
		s.Clock.After(every, send)
	}
	send()
	return func() { over = true }
}
