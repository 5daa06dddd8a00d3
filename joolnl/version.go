package joolnl

import (
	"fmt"
	"strconv"
	"strings"

	"joolctl/session"
)

// Version is a Jool module's version as it stands in every message:
// major<<24 | minor<<16 | revision<<8 | dev.
type Version uint32

// Tested returns the versions of Jool on whose modules the tests in virtual
// machines ran, oldest first.
func Tested() []string { return []string{"4.1.9", "4.1.13", "4.1.15"} }

// ParseVersion reads the form of /sys/module/jool/version: up to four decimal
// numbers of 0 to 255 with dots between them, such as "4.1.15.0".
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

// String is the dotted form; the last number is left out where it is 0, as
// Jool's own tools do.
func (v Version) String() string {
	s := fmt.Sprintf("%d.%d.%d", v>>24, v>>16&0xff, v>>8&0xff)
	if dev := v & 0xff; dev != 0 {
		s += fmt.Sprintf(".%d", dev)
	}
	return s
}

func (v Version) revision() int { return int(v >> 8 & 0xff) }

// next reports whether v speaks 4.2's shifted numbers. Its release candidates
// call themselves 4.1.255.
func (v Version) next() bool { return v>>16 > 4<<8|1 || v>>16 == 4<<8|1 && v.revision() == 255 }

// earlyNext reports whether v is 4.2.0-rc1 or rc2, whose session
// synchronisation is 4.1.9's. They are 4.1.255.2 and .3; rc3 is .5.
func (v Version) earlyNext() bool { return v.next() && v>>16 == 4<<8|1 && v&0xff < 4 }

// Supported says why sessions of this module can't be synchronised, or nil.
// Jool before 4.1 speaks another protocol.
func (v Version) Supported() error {
	if v>>16 < 4<<8|1 || v>>24 != 4 {
		return fmt.Errorf("Jool %v speaks a protocol that joolctl does not; install Jool 4.1.0 or later", v)
	}
	return nil
}

// Format is the form in which this module sends and wants sessions.
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

// FlushesASAP reports whether the module's ss-flush-asap has any effect. From
// 4.1.13 on the setting is there, with another default, and has none.
func (v Version) FlushesASAP() bool { return v.Format() != session.Packed40 }

// ChecksCapacity reports whether the module drops sessions beyond ss-capacity. Up to 4.1.10 it has the setting, but does
// not look at it.
func (v Version) ChecksCapacity() bool { return v.HasAdvertise() }

// HasAdvertise reports whether the module's JOOLD_ADVERTISE works. 4.1.9,
// 4.1.10 and 4.2.0's rc1 and rc2 accept it and send nothing.
func (v Version) HasAdvertise() bool {
	return v.next() && !v.earlyNext() || !v.next() && v.revision() >= 11
}

// Defects returns the known defects of this module's session synchronisation, each as the rest of a sentence about the module. They are
// read in its source and were seen in virtual machines (docs/reliability.md).
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
