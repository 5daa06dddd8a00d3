package configdir

import (
	"net/netip"
	"strings"
)

func setGroup(s *Spec, v value) *complaint {
	text, c := v.text()
	if c != nil {
		return c
	}
	group, err := netip.ParseAddr(text)
	switch {
	case err != nil:
		return wrong("%s is not an address", quote(text))
	case group.Zone() != "":
		return &complaint{
			what:  quote("%"+group.Zone()) + " does not belong in a group's address",
			write: `write ` + quote(group.WithZone("").String()) + ` and name the interface in "in interface" and "out interface"`,
		}
	case group.Is4In6():
		return &complaint{what: "this is an IPv4 address in IPv6 notation", write: "write " + quote(group.Unmap().String())}
	case !group.IsMulticast():
		return wrong("%s is not a multicast address", group)
	}
	s.Group = group
	if group.IsInterfaceLocalMulticast() {
		return &complaint{
			what: group.String() + " never leaves this host", write: `write a wider scope, as in "ff02::db8:64:64"`, advice: true,
		}
	}
	return nil
}

func setInterface(target *string, v value) *complaint {
	text, c := v.text()
	if c != nil {
		return c
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		if !interfaceName(text) {
			return wrong("%s is neither an interface's name nor an address", quote(text))
		}
		*target = text
		return nil
	}
	address = address.Unmap()
	switch {
	case address.Zone() != "":
		return &complaint{
			what: quote(text) + " names the interface twice", write: "write the name alone: " + quote(address.Zone()),
		}
	case address.IsUnspecified():
		// As in C joold, this leaves the choice to the kernel.
		*target = ""
		return &complaint{
			what: address.String() + " leaves the choice to the kernel", advice: true,
			write: "write an interface's name or one of its addresses",
		}
	case address.IsMulticast():
		return wrong("%s is a group, not an interface's address", address)
	}
	*target = address.String()
	return nil
}

// interfaceName reports whether Linux accepts an interface's name. It also refuses control characters, which
// Linux accepts.
func interfaceName(name string) bool {
	if name == "" || len(name) > 15 || name == "." || name == ".." {
		return false
	}
	if strings.Count(name, ".") == 3 && strings.Trim(name, ".0123456789") == "" {
		return false // Linux accepts it, but it is a mistyped address
	}
	return !strings.ContainsFunc(name, func(r rune) bool {
		return r == '/' || r == ':' || r == ' ' || isControl(r)
	})
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func adviseInterface(s *Spec) *complaint {
	example := `"eth0"`
	if s.Group.Is4() {
		example = `"192.0.2.1"`
	}
	return &complaint{
		what:  "missing, so that the kernel chooses one and sessions may leak elsewhere",
		write: "write the interface, as in " + example, advice: true,
	}
}

func setReuseAddr(s *Spec, v value) *complaint {
	number := 0
	if c := v.whole(&number, 0, 1); c != nil {
		return c
	}
	s.ReuseAddr = number == 1
	if !s.ReuseAddr {
		return adviseReuseAddr("0")
	}
	return nil
}

func adviseReuseAddr(found string) *complaint {
	return &complaint{
		what:  found + ": a hanging process would keep its successor off the port",
		write: "write 1, as C joold always does since 4.1.13", advice: true,
	}
}

func setTTL(s *Spec, v value) *complaint {
	if c := v.whole(&s.TTL, 0, 255); c != nil {
		return c
	}
	if s.TTL == 0 {
		return &complaint{what: "0 keeps every datagram on this host", write: "write 1, or more to cross routers", advice: true}
	}
	return nil
}

// setInstance accepts the names that the kernel module accepts.
func setInstance(s *Spec, v value) *complaint {
	text, c := v.line(15, "an instance's name can have")
	if c == nil {
		s.Instance = text
	}
	return c
}

func setStatsAddress(s *Spec, v value) *complaint {
	text, c := v.text()
	if c != nil {
		return c
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return wrong("%s is not an address", quote(text))
	}
	address = address.Unmap()
	switch {
	case address.Zone() != "" || address.Is6() && address.IsLinkLocalUnicast():
		return wrong("%s is a link-local address, of no use without its interface", quote(text))
	case address.IsMulticast():
		return wrong("%s is a multicast address", address)
	}
	s.StatsAddress = address
	return nil
}
