package configdir

import (
	"fmt"
	"net/netip"
	"slices"
)

// Conflict is a reason why a pair cannot run at the same time as another pair.
type Conflict struct {
	// Key is the key whose values collide. Pair.Place returns its place in the pair's files.
	Key string
	// Other is the name of the other pair.
	Other string
	// Message says which resource the pair shares with the other one, and what to do.
	Message string
}

// Conflicts compares the desired specs with each other and returns, by pair name, the reasons why specs must be
// refused. desired has one spec for each pair that shall run, with unique names; for a pair whose files are
// broken, it has the spec that keeps running. running has the specs of the pairs that run now, by pair name; it
// is nil at a cold start. A running pair that is not desired is about to stop, so it collides with no other. But
// a renamed pair counts as running under its new name.
//
// If two specs collide, the pair that already runs with the contested resource keeps it, and the other spec is
// refused. If neither pair runs with it, as at a cold start, both are refused. A refused pair that runs with an
// older spec keeps running with that, so Conflicts then compares the older spec with the others.
//
// The function is pure. Its running time is quadratic in the number of pairs.
func Conflicts(desired []Spec, running map[string]Spec) map[string][]Conflict {
	refused := make(map[string][]Conflict)
	contenders := newContenders(desired, running)
	for {
		found := contenders.round()
		settled := true
		for name, conflicts := range found {
			if refused[name] == nil {
				refused[name], settled = conflicts, false
			}
		}
		if settled {
			return refused
		}
		contenders = contenders.without(found)
	}
}

// claim is the set of resources that a spec needs for itself, in a comparable form.
type claim struct {
	instance instanceClaim
	socket   socketClaim
	stats    statsClaim
}

type instanceClaim struct{ namespace, instance string }

// socketClaim is the address that a network socket is bound to. inInterface is empty for a socket that receives
// on every interface or, by unicast, on every address. By unicast, group is the unspecified address of the
// family and inInterface is an address: the kernel delivers a unicast datagram to one socket only, even if the
// sockets have different interfaces.
type socketClaim struct {
	namespace   string
	group       netip.Addr
	port        uint16
	inInterface string
}

type statsClaim struct {
	address netip.Addr
	port    uint16
}

func claimOf(s Spec) claim {
	return claim{
		instance: instanceClaim{sameNamespace(s.Namespace), s.Instance},
		socket:   socketClaimOf(s),
		stats:    statsClaim{s.StatsAddress, s.StatsPort},
	}
}

func socketClaimOf(s Spec) socketClaim {
	c := socketClaim{sameNamespace(s.NetNamespace), s.Group, s.Port, s.InInterface}
	if s.Unicast() {
		c.group, c.inInterface = netip.IPv6Unspecified(), ""
		if s.Is4() {
			c.group = netip.IPv4Unspecified()
		}
		if at := s.Bound().Addr(); !at.IsUnspecified() {
			c.inInterface = at.String()
		}
	}
	return c
}

// rule describes one resource that two pairs cannot share.
type rule struct {
	key     func(s Spec) string
	bothUse func(a, b *claim) bool
	message func(s Spec, other string) string
}

var rules = []rule{
	{
		func(s Spec) string {
			if s.Unicast() {
				return portKey
			}
			return groupKey
		},
		func(a, b *claim) bool { return a.socket.overlaps(b.socket) },
		func(s Spec, other string) string {
			if s.Unicast() {
				return fmt.Sprintf("UDP port %d%s%s is pair %s's too; give one of the two another port, or each an address of its own as \"in interface\"",
					s.Port, onAddress(s.Bound().Addr()), inNamespace(s.NetNamespace), other)
			}
			in := ""
			if s.InInterface != "" {
				in = " on " + s.InInterface
			}
			return fmt.Sprintf("group %s port %d%s%s is pair %s's too; give one of the two another group or port",
				s.Group, s.Port, in, inNamespace(s.NetNamespace), other)
		},
	},
	{
		func(Spec) string { return "instance" },
		func(a, b *claim) bool { return a.instance == b.instance },
		func(s Spec, other string) string {
			return fmt.Sprintf("instance %s%s is pair %s's too; remove one of the two, or name another instance",
				quote(s.Instance), inNamespace(s.Namespace), other)
		},
	},
	{
		func(Spec) string { return "stats port" },
		func(a, b *claim) bool { return a.stats.overlaps(b.stats) },
		func(s Spec, other string) string {
			return fmt.Sprintf("UDP port %d%s is pair %s's stats port too; give one of the two another",
				s.StatsPort, onAddress(s.StatsAddress), other)
		},
	},
}

func inNamespace(namespace string) string {
	if namespace == "" {
		return ""
	}
	return " in namespace " + quote(namespace)
}

func onAddress(address netip.Addr) string {
	if !address.IsValid() {
		return ""
	}
	return " on " + address.String()
}

// overlaps reports whether two sockets would receive the same datagrams. A socket without an interface receives
// those of all interfaces.
func (a socketClaim) overlaps(b socketClaim) bool {
	if a.inInterface == "" || b.inInterface == "" {
		a.inInterface, b.inInterface = "", ""
	}
	return a == b
}

// overlaps reports whether two stats servers would bind the same address and port.
func (a statsClaim) overlaps(b statsClaim) bool {
	if a.port == 0 || a.port != b.port {
		return false
	}
	return slices.ContainsFunc(a.addresses(), func(x netip.Addr) bool {
		return slices.ContainsFunc(b.addresses(), func(y netip.Addr) bool {
			return x == y || covers(x, y) || covers(y, x)
		})
	})
}

func (a statsClaim) addresses() []netip.Addr {
	if a.address.IsValid() {
		return []netip.Addr{a.address}
	}
	return []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1}), netip.IPv6Loopback()}
}

// covers reports whether a is a wildcard address that also receives b's datagrams. A socket on :: usually
// receives IPv4 datagrams too.
func covers(a, b netip.Addr) bool {
	return a == netip.IPv6Unspecified() || a == netip.IPv4Unspecified() && b.Is4()
}
