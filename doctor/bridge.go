package doctor

import (
	"context"
	"fmt"
)

func checkSnooping(_ context.Context, s *subject) []Finding {
	if s.spec.Unicast() {
		return nil
	}
	in, err := s.inInterface()
	if err != nil || in == nil {
		return nil // checkInterfaces says why
	}
	links, err := s.links()
	if err != nil {
		return warn("the bridges are unknown: "+err.Error(), "")
	}
	b := links[in.Index]
	if b.master != 0 {
		b = links[b.master]
	}
	switch {
	case b.kind != "bridge":
		return ok(in.Name + " is not part of a bridge on this host; a switch that snoops needs a querier in its network")
	case b.snooping && !b.querying:
		return warn(fmt.Sprintf("the bridge %s snoops multicast groups and does not query their members: without another querier it may stop to forward the group", b.name),
			s.inside(fmt.Sprintf("ip link set %s type bridge mcast_querier 1", b.name)))
	case b.snooping:
		return ok("the bridge " + b.name + " snoops multicast groups, and queries their members")
	}
	return ok("the bridge " + b.name + " does not snoop multicast groups")
}
