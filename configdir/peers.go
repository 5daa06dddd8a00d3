package configdir

import (
	"bytes"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxPeers is the greatest number of peers of a pair.
const MaxPeers = 16

// Peers are the addresses of a pair's peers, sorted. Two values are == if they have the same addresses and
// ports.
type Peers struct {
	list [MaxPeers]netip.AddrPort
	n    int
}

// NewPeers returns Peers with these addresses, at most MaxPeers.
func NewPeers(peers ...netip.AddrPort) (p Peers) {
	p.n = copy(p.list[:], peers)
	slices.SortFunc(p.list[:p.n], netip.AddrPort.Compare)
	return p
}

// Len returns the number of peers.
func (p *Peers) Len() int { return p.n }

// All returns the peers in their order. A port of 0 means that only the address counts.
func (p *Peers) All() iter.Seq[netip.AddrPort] { return slices.Values(p.list[:p.n]) }

// Has reports whether a peer has this address, with any port.
func (p *Peers) Has(address netip.Addr) bool {
	for _, peer := range p.list[:p.n] {
		if peer.Addr() == address {
			return true
		}
	}
	return false
}

// Names returns the peers as in a configuration file. It leaves out the port if only the address counts.
func (p *Peers) Names() []string {
	names := make([]string, 0, p.n)
	for peer := range p.All() {
		names = append(names, PeerName(peer))
	}
	return names
}

// String returns the names on one line.
func (p Peers) String() string { return strings.Join(p.Names(), ", ") }

// Equal is ==, for package cmp.
func (p Peers) Equal(other Peers) bool { return p == other }

// PeerName returns a peer as in a configuration file.
func PeerName(peer netip.AddrPort) string {
	if peer.Port() == 0 {
		return peer.Addr().String()
	}
	return peer.String()
}

// Unicast reports whether the pair sends to each of its peers instead of to a group.
func (s *Spec) Unicast() bool { return !s.Group.IsValid() && s.Peers.n > 0 }

// Is4 reports whether the pair's datagrams are IPv4 ones.
func (s *Spec) Is4() bool {
	if s.Unicast() {
		return s.Peers.list[0].Addr().Is4()
	}
	return s.Group.Is4()
}

// Bound returns the address and port that the network socket binds to. With a group, it is the group's. By
// unicast, it is the address in "in interface" if this has an address of the peers' family, and otherwise the
// unspecified address.
func (s *Spec) Bound() netip.AddrPort {
	if !s.Unicast() {
		return netip.AddrPortFrom(s.Group, s.Port)
	}
	if in, err := netip.ParseAddr(s.InInterface); err == nil && in.Is4() == s.Is4() {
		return netip.AddrPortFrom(in, s.Port)
	}
	if s.Is4() {
		return netip.AddrPortFrom(netip.IPv4Unspecified(), s.Port)
	}
	return netip.AddrPortFrom(netip.IPv6Unspecified(), s.Port)
}

// setPeers stores the peers as the file has them. address adds the port to the peers without one later.
func setPeers(s *Spec, v value) *complaint {
	if jsontext.Value(v.raw).Kind() != '[' {
		return v.wrongType("an array")
	}
	d := jsontext.NewDecoder(bytes.NewReader(v.raw), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	_, _ = d.ReadToken() // cannot fail: the decoder has already read the whole array
	var peers []netip.AddrPort
	for d.PeekKind() != ']' {
		raw, err := d.ReadValue()
		if err != nil {
			return wrong("not a list of addresses")
		}
		at := int(d.InputOffset()) - len(raw)
		peer, c := value{raw}.peer()
		switch {
		case c != nil:
		case slices.Contains(peers, peer):
			c = &complaint{what: PeerName(peer) + " is listed twice", write: "remove one of the two"}
		case len(peers) > 0 && peer.Addr().Is4() != peers[0].Addr().Is4():
			c = &complaint{what: fmt.Sprintf("%v and %v belong to two families", peers[0].Addr(), peer.Addr()),
				write: "write IPv4 addresses only, or IPv6 addresses only"}
		case len(peers) == MaxPeers:
			c = wrong("more than %d peers", MaxPeers)
		}
		if c != nil {
			c.offset += at
			return c
		}
		peers = append(peers, peer)
	}
	if len(peers) == 0 {
		return wrong("the array is empty")
	}
	s.Peers = NewPeers(peers...)
	return nil
}

// peer parses the value as ADDRESS or ADDRESS:PORT. The port is 0 if it is missing.
func (v value) peer() (netip.AddrPort, *complaint) {
	text, c := v.text()
	if c != nil {
		return netip.AddrPort{}, c
	}
	port := uint16(0)
	address, err := netip.ParseAddr(text)
	if err != nil {
		host, service, found := splitPort(text)
		if address, err = netip.ParseAddr(host); err != nil || !found {
			return netip.AddrPort{}, wrong("%s is neither ADDRESS nor ADDRESS:PORT", quote(text))
		}
		var what string
		if port, what = parsePort(service); what != "" {
			return netip.AddrPort{}, wrong("port %s", what)
		}
	}
	return netip.AddrPortFrom(address, port), refusePeer(address, port)
}

// splitPort splits IPV4:PORT or [IPV6]:PORT.
func splitPort(text string) (host, port string, found bool) {
	if rest, ok := strings.CutPrefix(text, "["); ok {
		host, port, found = strings.Cut(rest, "]:")
		return host, port, found && strings.Contains(host, ":")
	}
	host, port, found = strings.Cut(text, ":")
	return host, port, found && !strings.Contains(port, ":")
}

// refusePeer returns why an address cannot be a peer's address, or nil.
func refusePeer(address netip.Addr, port uint16) *complaint {
	again := func(a netip.Addr) string { return quote(PeerName(netip.AddrPortFrom(a, port))) }
	switch {
	case address.Zone() != "":
		return &complaint{what: quote("%"+address.Zone()) + " does not belong in a peer's address",
			write: "write " + again(address.WithZone("")) + ` and name the interface in "out interface"`}
	case address.Is4In6():
		return &complaint{what: "this is an IPv4 address in IPv6 notation", write: "write " + again(address.Unmap())}
	case address.IsMulticast():
		return &complaint{what: address.String() + " is a group, not a peer's address", write: `write the group as "multicast address", and the addresses of hosts here`}
	case address.IsUnspecified():
		return wrong("%v is not a host's address", address)
	case address == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return wrong("%v is a broadcast address", address)
	}
	return nil
}

const (
	groupKey     = "multicast address"
	groupPortKey = "multicast port"
	peersKey     = "peers"
	portKey      = "port"
	ttlKey       = "ttl"
	inKey        = "in interface"
	outKey       = "out interface"
)

// unicastTTL is the default of "ttl" without a group, because routers may lie between the peers.
const unicastTTL = 64

// grouped reports whether the file has a key of a group.
func (d *decoding) grouped() bool { return d.met(groupKey) || d.met(groupPortKey) }

// excused reports whether the file may omit a key that is mandatory or advised otherwise. Without a group,
// "peers" and "port" replace the group, and the routes to the peers replace the interfaces.
func (d *decoding) excused(k *key) bool {
	switch k.name {
	case groupKey, groupPortKey, inKey, outKey:
		return d.met(peersKey) && !d.grouped()
	case portKey:
		return !d.met(peersKey) || d.grouped()
	}
	return false
}

// together checks the keys of a netsocket file that depend on each other, after all keys are read.
func (d *decoding) together() {
	complain := func(key string, c *complaint) { d.add(d.values[key], key, c.what+"; "+c.write, c.advice) }
	if d.met(portKey) && (d.grouped() || !d.met(peersKey)) {
		c := &complaint{what: `has no meaning without "peers"`, write: `write "peers" as well, or leave this out`}
		if d.grouped() {
			c = &complaint{what: `has no meaning beside "multicast address", whose port is "multicast port"`, write: "leave this out"}
		}
		complain(portKey, c)
	}
	s := d.spec
	if s.Peers.n == 0 {
		return
	}
	if d.grouped() {
		if c := s.restrict(); c != nil {
			complain(peersKey, c)
		}
		return
	}
	if c := s.address(); c != nil {
		complain(peersKey, c)
	}
	if !d.met(ttlKey) {
		s.TTL = unicastTTL
	} else if s.TTL == 0 {
		d.remove(ttlKey)
		complain(ttlKey, &complaint{what: "0 keeps every datagram on this host", write: "write 64, or leave this out"})
	}
	if !d.met(keyFileKey) {
		complain(peersKey, &complaint{what: "without a key, any host that can send from such an address can insert sessions",
			write: `write "key file" and "security" as well`, advice: true})
	}
}

// restrict checks the peers of a spec with a group.
func (s *Spec) restrict() *complaint {
	for peer := range s.Peers.All() {
		switch {
		case peer.Port() != 0:
			return &complaint{what: fmt.Sprintf("%v has a port, but beside a group only addresses count", peer), write: "write " + quote(peer.Addr().String())}
		case s.Group.IsValid() && peer.Addr().Is4() != s.Group.Is4():
			return &complaint{what: fmt.Sprintf("%v cannot send to %v, a group of the other family", peer.Addr(), s.Group), write: "write addresses of the group's family"}
		}
	}
	return nil
}

// address adds the pair's port to the peers without one, and checks the peers of a spec without a group.
func (s *Spec) address() *complaint {
	peers := slices.Collect(s.Peers.All())
	for i, peer := range peers {
		if peer.Port() == 0 {
			peer = netip.AddrPortFrom(peer.Addr(), s.Port)
		}
		if slices.Contains(peers[:i], peer) {
			return &complaint{what: PeerName(peer) + " is listed twice", write: "remove one of the two"}
		}
		if peer.Addr().Is6() && peer.Addr().IsLinkLocalUnicast() && s.OutInterface == "" {
			return &complaint{what: fmt.Sprintf("%v is a link-local address, of no use without its interface", peer.Addr()),
				write: `write "out interface": "eth0" as well`}
		}
		peers[i] = peer
	}
	s.Peers = NewPeers(peers...)
	return nil
}
