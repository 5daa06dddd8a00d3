package configdir

import (
	"fmt"
	"net/netip"
	"slices"
)

// Conflict is one reason why a pair can't run beside another.
type Conflict struct {
	// Key is the key in which the two collide; Pair.Place finds where the
	// pair's files say so.
	Key string
	// Other is the other pair's name.
	Other string
	// Message names the other pair, what is shared and what to do.
	Message string
}

// Conflicts judges the specs that are desired beside each other and returns,
// by name, why some may not run. Names are unique among desired, which holds
// one spec for each pair that shall run: for one whose files are broken, the
// spec that runs on. running has what runs now, by pair name; nil at a cold
// start. Pairs that run and are not desired are about to stop and do not
// count, but one that was merely renamed keeps its rights.
//
// Who already runs with what two pairs claim keeps it, and the newcomer is
// refused. Where neither does, as at a cold start, both are. A refused pair
// that runs with an older spec keeps running with that, so this older spec is
// then judged against the rest in its place.
//
// The function is pure. It is quadratic in the number of pairs.
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

// claim is what a spec needs for itself, in a form that compares.
type claim struct {
	instance instanceClaim
	socket   socketClaim
	stats    statsClaim
}

type instanceClaim struct{ namespace, instance string }

// socketClaim is what a network socket is bound to. inInterface is empty for a socket that hears on every interface or, by unicast,
// on every address. By unicast, the group is the unspecified address of the family, and inInterface is an address: the kernel
// gives a datagram to one socket only, whatever interfaces the sockets hear on.
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

// rule is one thing that two pairs can't share.
type rule struct {
	key     func(s Spec) string
	collide func(a, b *claim) bool
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

// overlaps is true if two sockets would hear the same: one without an interface hears what comes by any.
func (a socketClaim) overlaps(b socketClaim) bool {
	if a.inInterface == "" || b.inInterface == "" {
		a.inInterface, b.inInterface = "", ""
	}
	return a == b
}

// overlaps is true if two stats servers would want one socket.
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

// covers is true if a is a wildcard that takes b's datagrams: a socket on ::
// usually takes IPv4 as well.
func covers(a, b netip.Addr) bool {
	return a == netip.IPv6Unspecified() || a == netip.IPv4Unspecified() && b.Is4()
}
