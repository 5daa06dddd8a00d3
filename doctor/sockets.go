package doctor

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"joolctl/joolnl"
)

// udpSocket is a UDP socket of a network namespace.
type udpSocket struct {
	local netip.AddrPort
	inode uint64
	drops uint64 // datagrams that overran it
}

// udpSockets returns the UDP sockets of the calling thread's namespace and of one address family.
func udpSockets(v4 bool) (all []udpSocket, err error) {
	path := "/proc/thread-self/net/udp6"
	if v4 {
		path = "/proc/thread-self/net/udp"
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode ref pointer drops
		f := strings.Fields(lines.Text())
		if len(f) < 13 {
			continue
		}
		local, ok := parseProcAddress(f[1])
		inode, err := strconv.ParseUint(f[9], 10, 64)
		drops, dropsErr := strconv.ParseUint(f[12], 10, 64)
		if ok && err == nil && dropsErr == nil {
			all = append(all, udpSocket{local, inode, drops})
		}
	}
	return all, nil
}

// parseProcAddress reads an address and a port in hexadecimal, as /proc/net/udp has them: the address is a sequence of 32-bit numbers in
// the host's byte order.
func parseProcAddress(s string) (netip.AddrPort, bool) {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	n, portErr := strconv.ParseUint(port, 16, 16)
	if err != nil || portErr != nil || len(b) != 4 && len(b) != 16 {
		return netip.AddrPort{}, false
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, uint16(n)), true
}

// process is a process that has a socket.
type process struct {
	pid  int
	name string
}

func (p process) String() string { return fmt.Sprintf("%s (%d)", p.name, p.pid) }

// socketOwners returns the processes that have each socket, by the socket's inode. Only root sees those of other users.
func socketOwners() map[uint64][]process {
	found := make(map[uint64][]process)
	links, _ := filepath.Glob("/proc/[0-9]*/fd/*") // fails for bad patterns only
	for _, link := range links {
		inode, is := socketInode(link)
		if !is {
			continue
		}
		dir := filepath.Dir(filepath.Dir(link))
		pid, _ := strconv.Atoi(filepath.Base(dir))
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		p := process{pid, strings.TrimSpace(string(name))}
		if !slices.Contains(found[inode], p) {
			found[inode] = append(found[inode], p)
		}
	}
	return found
}

// socketInode returns the inode of the socket that a link in /proc/PID/fd leads to. It returns false for another file, and for a
// descriptor that was closed meanwhile.
func socketInode(link string) (uint64, bool) {
	target, err := os.Readlink(link)
	if err != nil {
		return 0, false
	}
	text, is := strings.CutPrefix(target, "socket:[")
	inode, err := strconv.ParseUint(strings.TrimSuffix(text, "]"), 10, 64)
	return inode, is && err == nil
}

// others returns the processes, apart from this one and the supervisor, that have one of the sockets.
func (h *host) others(inodes map[uint64]bool) (all []process) {
	owners := h.owners()
	for inode := range inodes {
		for _, p := range owners[inode] {
			if p.pid != h.pid() && p.pid != os.Getpid() && !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	slices.SortFunc(all, func(a, b process) int { return cmp.Or(strings.Compare(a.name, b.name), cmp.Compare(a.pid, b.pid)) })
	return all
}

// list returns the names of processes.
func list(all []process) string {
	var names []string
	for _, p := range all {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}

// networkSockets returns the inodes of the sockets that are bound to the pair's group or address and its port, and the number of
// datagrams that have overrun them.
func (s *subject) networkSockets() (inodes map[uint64]bool, drops uint64, err error) {
	bound := s.spec.Bound()
	var sockets []udpSocket
	err = s.inNetwork(func() (err error) {
		sockets, err = udpSockets(s.spec.Is4())
		return err
	})
	inodes = make(map[uint64]bool)
	for _, u := range sockets {
		if u.local.Port() == bound.Port() && (u.local.Addr() == bound.Addr() || u.local.Addr().IsUnspecified()) {
			inodes[u.inode] = true
			drops += u.drops
		}
	}
	return inodes, drops, err
}

func checkPort(_ context.Context, s *subject) []Finding {
	bound := s.spec.Bound()
	inodes, drops, err := s.networkSockets()
	if err != nil {
		return warn(err.Error(), "")
	}
	others := s.others(inodes)
	where := fmt.Sprintf("%v port %d", bound.Addr(), bound.Port())
	switch {
	case len(others) > 0:
		return warn(fmt.Sprintf("%s also has %s on this host", list(others), where), "stop it, or give one of them another port")
	case drops > 0:
		return warn(fmt.Sprintf("%d datagrams have overrun the socket of %s", drops, where), `write a larger "receive buffer" in `+s.pair.Netsocket)
	}
	return ok("no other program uses " + where)
}

// genericNetlink is NETLINK_GENERIC's number in /proc/net/netlink.
const genericNetlink = 16

// checkOtherDaemons looks for other programs that hear the module's multicasts in the namespace of the instance. The module waits for an
// acknowledgement of each report, so two programs that acknowledge the same instance disturb each other.
func checkOtherDaemons(_ context.Context, s *subject) []Finding {
	inodes, err := s.moduleSockets()
	if err != nil {
		return nil // checkModule and checkInstance say why
	}
	others := slices.DeleteFunc(s.others(inodes), func(p process) bool { return p.name == "joolctl" })
	if len(others) == 0 {
		return ok("no other daemon hears the module's reports in this namespace")
	}
	return warn(list(others)+" also hears the module's reports in this namespace: it must serve another instance", "stop it if it serves "+s.place())
}

// moduleSockets returns the inodes of the sockets that hear the module's multicasts in the namespace of the instance.
func (s *subject) moduleSockets() (inodes map[uint64]bool, err error) {
	thread, err := s.threads.Get(s.spec.Namespace)
	if err != nil {
		return nil, err
	}
	defer thread.Release()
	doErr := thread.Do(func() {
		var group uint32
		var sockets []byte
		if group, err = joolnl.MulticastGroup(); err == nil {
			if sockets, err = os.ReadFile("/proc/thread-self/net/netlink"); err == nil {
				inodes = members(sockets, group)
			}
		}
	})
	return inodes, errors.Join(err, doErr)
}

// members returns the inodes of the sockets that are members of a Generic Netlink multicast group, by the text of /proc/net/netlink, which
// shows the first 32 groups.
func members(text []byte, group uint32) map[uint64]bool {
	inodes := make(map[uint64]bool)
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		// sk Eth Pid Groups Rmem Wmem Dump Locks Drops Inode
		f := strings.Fields(lines.Text())
		if len(f) < 10 || f[1] != strconv.Itoa(genericNetlink) {
			continue
		}
		groups, err := strconv.ParseUint(f[3], 16, 32)
		inode, inodeErr := strconv.ParseUint(f[9], 10, 64)
		if err == nil && inodeErr == nil && group >= 1 && group <= 32 && groups&(1<<(group-1)) != 0 {
			inodes[inode] = true
		}
	}
	return inodes
}
