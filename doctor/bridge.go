package doctor

import (
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// bridge describes an interface, and how it snoops multicast groups if it is a bridge. The numbers of the attributes come from
// linux/if_link.h.
type bridge struct {
	index, master      int
	name               string
	isBridge           bool
	snooping, querying bool
}

func checkSnooping(_ context.Context, s *subject) []Finding {
	if s.spec.Unicast() {
		return nil
	}
	in, err := s.inInterface()
	if err != nil || in == nil {
		return nil // checkInterfaces says why
	}
	var links map[int]bridge
	err = s.inNetwork(func() error {
		rib, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
		if err == nil {
			links, err = parseLinks(rib)
		}
		return err
	})
	if err != nil {
		return warn("the bridges are unknown: "+err.Error(), "")
	}
	b := links[in.Index]
	if b.master != 0 {
		b = links[b.master]
	}
	switch {
	case !b.isBridge:
		return ok(in.Name + " is not part of a bridge on this host; a switch that snoops needs a querier in its network")
	case b.snooping && !b.querying:
		return warn(fmt.Sprintf("the bridge %s snoops multicast groups and does not query their members: without another querier it may stop to forward the group", b.name),
			s.inside(fmt.Sprintf("ip link set %s type bridge mcast_querier 1", b.name)))
	case b.snooping:
		return ok("the bridge " + b.name + " snoops multicast groups, and queries their members")
	}
	return ok("the bridge " + b.name + " does not snoop multicast groups")
}

// parseLinks returns the interfaces of a dump by their index.
func parseLinks(rib []byte) (map[int]bridge, error) {
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, err
	}
	links := make(map[int]bridge)
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		b := bridge{index: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}
		attributes(m.Data[unix.SizeofIfInfomsg:], func(kind int, v []byte) {
			switch kind {
			case unix.IFLA_IFNAME:
				b.name = strings.TrimRight(string(v), "\x00")
			case unix.IFLA_MASTER:
				b.master = number(v)
			case unix.IFLA_LINKINFO:
				b.linkInfo(v)
			}
		})
		links[b.index] = b
	}
	return links, nil
}

func (b *bridge) linkInfo(info []byte) {
	attributes(info, func(kind int, v []byte) {
		switch kind {
		case unix.IFLA_INFO_KIND:
			b.isBridge = strings.TrimRight(string(v), "\x00") == "bridge"
		case unix.IFLA_INFO_DATA:
			if !b.isBridge {
				return // the numbers mean something else
			}
			attributes(v, func(kind int, v []byte) {
				switch kind {
				case unix.IFLA_BR_MCAST_SNOOPING:
					b.snooping = number(v) != 0
				case unix.IFLA_BR_MCAST_QUERIER:
					b.querying = number(v) != 0
				}
			})
		}
	})
}

// attributes calls fn for each attribute of a list, until the list is malformed.
func attributes(list []byte, fn func(kind int, value []byte)) {
	for len(list) >= 4 {
		length, kind := int(binary.NativeEndian.Uint16(list)), int(binary.NativeEndian.Uint16(list[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER))
		if length < 4 || length > len(list) {
			return
		}
		fn(kind, list[4:length])
		list = list[min((length+3)&^3, len(list)):]
	}
}

// number reads a number of one or four bytes.
func number(v []byte) int {
	switch len(v) {
	case 1:
		return int(v[0])
	case 4:
		return int(binary.NativeEndian.Uint32(v))
	}
	return 0
}
