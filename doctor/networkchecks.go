package doctor

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/supervisor"
)

// inNetwork calls fn on a thread in the namespace of the network socket.
func (s *subject) inNetwork(fn func() error) error {
	thread, err := s.threads.Get(s.spec.NetNamespace)
	if err != nil {
		return err
	}
	defer thread.Release()
	doErr := thread.Do(func() { err = fn() })
	return errors.Join(err, doErr)
}

// inside returns a command in the namespace of the network socket.
func (s *subject) inside(command string) string {
	switch ns := s.spec.NetNamespace; {
	case ns == "":
		return "type: " + command
	case ns[0] == '/':
		return "type: nsenter --net=" + ns + " " + command
	default:
		return "type: ip netns exec " + ns + " " + command
	}
}

// outInterface and inInterface return the interface that datagrams leave or arrive through; nil if the kernel chooses it.
func (s *subject) outInterface() (*net.Interface, error) { return s.interfaceOf(s.spec.OutInterface) }
func (s *subject) inInterface() (*net.Interface, error)  { return s.interfaceOf(s.spec.InInterface) }

// interfaceOf returns an interface by its name or one of its addresses.
func (s *subject) interfaceOf(name string) (found *net.Interface, err error) {
	if name == "" {
		return nil, nil
	}
	address, addressErr := netip.ParseAddr(name)
	err = s.inNetwork(func() error {
		if addressErr != nil {
			var err error
			found, err = net.InterfaceByName(name)
			return err
		}
		all, err := net.Interfaces()
		for i := range all {
			for _, a := range addressesOf(&all[i]) {
				if a == address {
					found = &all[i]
				}
			}
		}
		if err == nil && found == nil {
			err = fmt.Errorf("no interface has the address %s", name)
		}
		return err
	})
	return found, err
}

// addressesOf returns the addresses of an interface in the calling thread's namespace, without zones.
func addressesOf(i *net.Interface) (all []netip.Addr) {
	addrs, _ := i.Addrs() // an interface that is gone has none
	for _, a := range addrs {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			all = append(all, prefix.Addr().Unmap())
		}
	}
	return all
}

func checkInterfaces(_ context.Context, s *subject) []Finding {
	var all []Finding
	for _, side := range []struct{ key, name string }{{"in interface", s.spec.InInterface}, {"out interface", s.spec.OutInterface}} {
		if side.key == "out interface" && side.name == s.spec.InInterface {
			break
		}
		i, err := s.interfaceOf(side.name)
		switch {
		case err != nil:
			all = append(all, fail(fmt.Sprintf("%s %q: %v", side.key, side.name, err), s.inside("ip link"))...)
		case i == nil:
			all = append(all, warn(fmt.Sprintf("%q is not set, so the kernel chooses one", side.key), fmt.Sprintf("write %q in %s", side.key, s.pair.Netsocket))...)
		case i.Flags&net.FlagUp == 0:
			all = append(all, fail(fmt.Sprintf("%s is down", i.Name), s.inside("ip link set "+i.Name+" up"))...)
		case i.Flags&net.FlagRunning == 0:
			all = append(all, fail(fmt.Sprintf("%s has no carrier", i.Name), "check its cable, and the device at the other end")...)
		default:
			all = append(all, ok(fmt.Sprintf("%s is up, with a carrier", i.Name))...)
		}
	}
	return all
}

func checkSource(_ context.Context, s *subject) []Finding {
	if s.spec.Unicast() {
		return nil // checkRoutes says it for each peer
	}
	out, err := s.outInterface()
	if err != nil || out == nil {
		return nil // checkInterfaces says why
	}
	family, version := unix.AF_INET6, 6
	if s.spec.Is4() {
		family, version = unix.AF_INET, 4
	}
	var source string
	err = s.inNetwork(func() error {
		for _, a := range addressesOf(out) {
			if a.Is4() == (family == unix.AF_INET) {
				source = a.String()
				break
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return warn(err.Error(), "")
	case source == "":
		return fail(fmt.Sprintf("%s has no IPv%d address to send from", out.Name, version), s.inside("ip address add ADDRESS dev "+out.Name))
	}
	return ok(fmt.Sprintf("%s sends from an address such as %s", out.Name, source))
}

func checkHopLimit(_ context.Context, s *subject) []Finding {
	if s.spec.TTL == 0 {
		return fail("\"ttl\" is 0, so no datagram leaves this host", `write "ttl": 1 in `+s.pair.Netsocket)
	}
	out, err := s.outInterface()
	if err != nil || out == nil || s.row == nil || s.spec.TTL > 1 {
		return ok(fmt.Sprintf("\"ttl\" is %d", s.spec.TTL))
	}
	var far []string
	err = s.inNetwork(func() error {
		addrs, err := out.Addrs()
		for _, peer := range s.row.Peers {
			address, parseErr := netip.ParseAddr(peer.Address)
			if parseErr == nil && !onLink(addrs, address) {
				far = append(far, peer.Address)
			}
		}
		return err
	})
	switch {
	case err != nil:
		return warn(err.Error(), "")
	case len(far) > 0:
		return warn(fmt.Sprintf("\"ttl\" is 1, and %s is not on the link of %s: it may not hear this host", strings.Join(far, ", "), out.Name), `write a larger "ttl" in `+s.pair.Netsocket)
	}
	return ok("\"ttl\" is 1, and all peers are on the link")
}

// onLink reports whether an address is link-local or in one of an interface's networks.
func onLink(networks []net.Addr, a netip.Addr) bool {
	if a.IsLinkLocalUnicast() {
		return true
	}
	for _, n := range networks {
		if prefix, err := netip.ParsePrefix(n.String()); err == nil && prefix.Contains(a) {
			return true
		}
	}
	return false
}

// checkRoutes looks for a way to each peer of a pair without a group.
func checkRoutes(_ context.Context, s *subject) (all []Finding) {
	if !s.spec.Unicast() {
		return nil
	}
	for peer := range s.spec.Peers.All() {
		var source net.Addr
		err := s.inNetwork(func() error {
			c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(peer.Addr(), max(peer.Port(), 1)))) // sends nothing
			if err == nil {
				source = c.LocalAddr()
				err = c.Close()
			}
			return err
		})
		switch heard := s.heard(peer); {
		case err != nil:
			all = append(all, fail(fmt.Sprintf("no way to the peer %v: %v", peer.Addr(), err), s.inside(fmt.Sprintf("ip route get %v", peer.Addr())))...)
		case !heard:
			all = append(all, warn(fmt.Sprintf("%v is reached from %v, but was not heard", peer.Addr(), source), "look at `joolctl status` there: it must list this host's address")...)
		default:
			all = append(all, ok(fmt.Sprintf("%v is reached from %v", peer.Addr(), source))...)
		}
	}
	return all
}

// heard reports whether the worker has heard a configured peer. Without a worker, that is not known.
func (s *subject) heard(peer netip.AddrPort) bool {
	if s.row == nil || s.row.State != supervisor.Running {
		return true
	}
	for _, p := range s.row.ConfiguredPeers {
		if p.Heard && p.Address == configdir.PeerName(peer) {
			return true
		}
	}
	return false
}

func checkMembership(_ context.Context, s *subject) []Finding {
	if s.row == nil || s.row.State != supervisor.Running || s.spec.Unicast() {
		return nil // without a worker or without a group, nobody is a member
	}
	var member bool
	err := s.inNetwork(func() error {
		var err error
		member, err = isMember(s.spec.Group)
		return err
	})
	switch {
	case err != nil:
		return warn(err.Error(), "")
	case !member:
		return fail(fmt.Sprintf("no socket is a member of %v", s.spec.Group), "type: joolctl restart "+s.pair.Name)
	}
	return ok(fmt.Sprintf("a socket is a member of %v", s.spec.Group))
}

// isMember reports whether a socket of the calling thread's namespace is a member of a group. The kernel writes an IPv6 group in
// /proc/net/igmp6 in hexadecimal, and an IPv4 group in /proc/net/igmp as a number in the host's byte order.
func isMember(group netip.Addr) (bool, error) {
	path, text := "/proc/thread-self/net/igmp6", fmt.Sprintf("%x", group.AsSlice())
	if group.Is4() {
		b := group.As4()
		path, text = "/proc/thread-self/net/igmp", fmt.Sprintf("%08X", nativeUint32(b))
	}
	list, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	for field := range bytes.FieldsSeq(list) {
		if string(field) == text {
			return true, nil
		}
	}
	return false, nil
}

func checkFirewall(_ context.Context, s *subject) []Finding {
	if s.spec.Unicast() {
		return nil // a second socket of the same address would take the worker's datagrams
	}
	in, err := s.inInterface()
	if err != nil || in == nil || in.Flags&net.FlagUp == 0 {
		return nil // checkInterfaces says why
	}
	if vrf, accepts, err := s.vrfOf(in.Index); err == nil && vrf != "" && !accepts {
		return nil // checkVRF says why
	}
	p, err := s.openProbe(in)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return warn("not checked: another socket has the group and the port, without \"reuseaddr\": 1", `write "reuseaddr": 1 in `+s.pair.Netsocket)
	case err != nil:
		return warn("not checked: "+err.Error(), "")
	}
	defer p.close()
	arrived, err := p.send(time.Second)
	switch {
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return warn(fmt.Sprintf("not checked: no address of %s can send yet; the kernel checks a new IPv6 address for a second or two", in.Name),
			"try again; if that does not help, look for \"tentative\" and \"dadfailed\": "+strings.TrimPrefix(s.inside("ip address show dev "+in.Name), "type: "))
	case err != nil:
		return fail(fmt.Sprintf("a test datagram to %v port %d cannot be sent: %v", s.spec.Group, s.spec.Port, err), s.inside("nft list ruleset"))
	case !arrived:
		return fail(fmt.Sprintf("a test datagram to %v port %d through %s does not arrive at this host: a firewall drops it", s.spec.Group, s.spec.Port, in.Name),
			fmt.Sprintf("accept it, as in: nft add rule inet filter input udp dport %d accept", s.spec.Port))
	}
	observed := fmt.Sprintf("a test datagram to %v port %d arrives; a receive buffer of %d bytes is granted", s.spec.Group, s.spec.Port, p.granted)
	if p.granted < min(s.spec.ReceiveBuffer, mostBuffer) {
		return warn(observed+fmt.Sprintf(", %d are configured", s.spec.ReceiveBuffer), fmt.Sprintf("type: sysctl net.core.rmem_max=%d", s.spec.ReceiveBuffer))
	}
	return ok(observed)
}
