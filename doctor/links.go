package doctor

import (
	"encoding/binary"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// link describes an interface, and how it snoops multicast groups if it is a bridge. The numbers of the attributes come from
// linux/if_link.h.
type link struct {
	index, master      int // master is that of the bridge or VRF that the interface belongs to; 0: none
	name, kind         string
	snooping, querying bool // of a bridge
}

// links returns the interfaces of the network socket's namespace by their index.
func (s *subject) links() (links map[int]link, err error) {
	err = s.inNetwork(func() error {
		rib, err := syscall.NetlinkRIB(unix.RTM_GETLINK, unix.AF_UNSPEC)
		if err == nil {
			links, err = parseLinks(rib)
		}
		return err
	})
	return links, err
}

// parseLinks returns the interfaces of a dump by their index.
func parseLinks(rib []byte) (map[int]link, error) {
	messages, err := syscall.ParseNetlinkMessage(rib)
	if err != nil {
		return nil, err
	}
	links := make(map[int]link)
	for _, m := range messages {
		if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
			continue
		}
		b := link{index: int(int32(binary.NativeEndian.Uint32(m.Data[4:])))}
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

func (b *link) linkInfo(info []byte) {
	attributes(info, func(kind int, v []byte) {
		switch kind {
		case unix.IFLA_INFO_KIND:
			b.kind = strings.TrimRight(string(v), "\x00")
		case unix.IFLA_INFO_DATA:
			if b.kind != "bridge" {
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
