package joolnl

import (
	"fmt"
	"strconv"
	"strings"

	"joolctl/session"
)

// Version is the version of a Jool module as in the header of every message: major<<24 | minor<<16 | revision<<8
// | dev.
type Version uint32

// Tested returns the versions of Jool on whose modules the tests in virtual
// machines ran, oldest first.
func Tested() []string { return []string{"4.1.9", "4.1.13", "4.1.15"} }

// ParseVersion parses the content of /sys/module/jool/version: two to four decimal numbers of 0 to 255,
// separated by dots, such as "4.1.15.0".
func ParseVersion(s string) (Version, error) {
	parts := strings.Split(strings.TrimSpace(s), ".")
	if len(parts) < 2 || len(parts) > 4 {
		return 0, fmt.Errorf("Jool version %q: want MAJOR.MINOR.REVISION.DEV", s)
	}
	var v Version
	for i := range 4 {
		v <<= 8
		if i >= len(parts) {
			continue
		}
		n, err := strconv.ParseUint(parts[i], 10, 8)
		if err != nil {
			return 0, fmt.Errorf("Jool version %q: %q is not a number of 0 to 255", s, parts[i])
		}
		v |= Version(n)
	}
	return v, nil
}

// String returns the dotted form. It leaves out the last number if it is 0, as Jool's own tools do.
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xff, v>>8&0xff)
	if dev := v & 0xff; dev != 0 {
		s += fmt.Sprintf(".%d", dev)
	}
	return s
}

func (v Version) revision() int { return int(v >> 8 & 0xff) }

// next reports whether v uses the numbers of 4.2's protocol. The release candidates of 4.2.0 report 4.1.255.
func (v Version) next() bool { return v>>16 > 4<<8|1 || v>>16 == 4<<8|1 && v.revision() == 255 }

// earlyNext reports whether v is 4.2.0-rc1 or rc2, whose session synchronisation is that of 4.1.9. They report
// 4.1.255.2 and 4.1.255.3; rc3 reports 4.1.255.5.
func (v Version) earlyNext() bool { return v.next() && v>>16 == 4<<8|1 && v&0xff < 4 }

// Supported returns nil, or an error if joolctl cannot synchronise sessions of this module. Jool before 4.1 uses
// another protocol.
func (v Version) Supported() error {
	if v>>16 < 4<<8|1 || v>>24 != 4 {
		return fmt.Errorf("Jool %v speaks a protocol that joolctl does not; install Jool 4.1.0 or later", v)
	}
	return nil
}

// Format returns the encoding of sessions in this module's multicasts and in JOOLD_ADD.
func (v Version) Format() session.Format {
	switch {
	case v.next():
		if v.earlyNext() {
			return session.Nested
		}
		return session.Packed40
	case v.revision() >= 13:
		return session.Packed40
	case v.revision() == 12:
		return session.Packed52
	default:
		return session.Nested
	}
}

// FlushesASAP reports whether the module's ss-flush-asap has an effect. 4.1.13 and later versions have the
// setting, with another default and without effect.
func (v Version) FlushesASAP() bool { return v.Format() != session.Packed40 }

// ChecksCapacity reports whether the module drops sessions beyond ss-capacity. Versions up to 4.1.10 have the
// setting, but do not use it.
func (v Version) ChecksCapacity() bool { return v.HasAdvertise() }

// HasAdvertise reports whether the module's JOOLD_ADVERTISE works. 4.1.9,
// 4.1.10 and 4.2.0's rc1 and rc2 accept it and send nothing.
func (v Version) HasAdvertise() bool {
	return v.next() && !v.earlyNext() || !v.next() && v.revision() >= 11
}

// Defects returns the known defects of this module's session synchronisation, each as the predicate of a
// sentence about the module. The defects are visible in the module's source, and tests in virtual machines have
// shown them (docs/reliability.md).
func (v Version) Defects() (defects []string) {
	old := func(revision int) bool { return v.earlyNext() || !v.next() && v.revision() <= revision }
	if old(10) {
		defects = append(defects, "loses, without a counter, sessions of a burst that do not fit its pending packet; joolctl finds them by the sizes of the tables and every \"verify period\"")
	}
	if !v.next() && v.revision() == 11 {
		defects = append(defects, "leaks the memory of each session that it drops at ss-capacity, and does not count it")
	}
	return defects
}
