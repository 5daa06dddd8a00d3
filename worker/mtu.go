package worker

import (
	"net"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/packetio"
	"joolctl/replication"
	"joolctl/syncwire"
)

// linkMTU returns the MTU of the interface that datagrams leave by, in a socket's namespace. in and out are the interfaces of the spec.
// linkMTU returns 0 if the kernel chooses the interface, or if it was deleted.
func linkMTU(fd int, spec configdir.Spec, in, out *net.Interface) int {
	if out == nil && needsInterface(spec.Group) {
		out = in
	}
	if out == nil {
		return 0
	}
	ifr := askInterface(fd, out, unix.SIOCGIFMTU)
	if ifr == nil {
		return 0
	}
	return int(ifr.Uint32())
}

// limits returns the limits of the datagrams that a worker with a spec sends by an interface with an MTU; 0: that is not known.
func limits(spec configdir.Spec, link int) syncwire.Limits {
	mtu := spec.MTU
	if mtu == 0 {
		mtu = syncwire.DefaultMTU
		if link != 0 {
			mtu = min(mtu, link)
		}
	}
	return syncwire.NewLimits(mtu, spec.Is4(), spec.Security.Seals())
}

// setLimits takes a changed spec, or a changed MTU of the interface.
func (p *pumps) setLimits(spec configdir.Spec, link int) {
	l := limits(spec, link)
	if l == p.host.Limits {
		return
	}
	if was := p.host.Limits.MTU; was != l.MTU {
		p.w.log.to().Info("the longest packet has another length now", "bytes", l.MTU, "before", was)
	}
	p.large = l.MTU > datagramSize // from the next borrow on
	p.host.SetLimits(l)
}

// enlarge makes room for the longest datagrams, so that sending them allocates nothing. The batch must be empty.
func (s *scratch) enlarge() {
	if s.slot < largeSize {
		s.batch, s.slot = packetio.NewBatch(batch, largeSize), largeSize
	}
}

// sendPadded sends a padded HELLO to the group, behind all datagrams of the batch: peers must get the HELLO before it first. If the
// HELLO is longer than the interface's MTU, it counts as lost on its way.
func (p *pumps) sendPadded(m syncwire.Message) {
	p.sendBatch()
	p.messages = m.Append(p.messages[:0])
	p.whole = true
	p.sendOne(p.wire(p.messages), packetio.All, note{control: true})
	p.whole = false
}

// whole calls send while the kernel neither divides what a socket sends nor allows routers to do so.
func whole(fd int, send func()) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return err
	}
	level, option, probe := unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_PROBE
	if domain == unix.AF_INET {
		level, option, probe = unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_PROBE
	}
	before, err := unix.GetsockoptInt(fd, level, option)
	if err != nil {
		return err
	}
	if err := unix.SetsockoptInt(fd, level, option, probe); err != nil {
		return err
	}
	send()
	return unix.SetsockoptInt(fd, level, option, before)
}

// pathChanged publishes and logs whether packets of the pair's MTU reach the peers.
func (p *pumps) pathChanged(t replication.PathTrouble) {
	now := p.do.now()
	p.w.change(now, func(s *SyncState) { s.Path = t })
	if t == (replication.PathTrouble{}) {
		p.w.log.to().Info("the longest packets are not known to be lost any more")
		return
	}
	r := t.Reason()
	p.w.log.warn("the longest packets do not reach a peer", "reason", r.Text, "what to do", r.Remedy)
}
