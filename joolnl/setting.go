package joolnl

import (
	"encoding/binary"

	"joolctl/session/attr"
)

// Setting is the number of a setting of an instance in GLOBAL_FOREACH and GLOBAL_UPDATE.
type Setting int

// The settings that joolctl changes. SSEnabled is one byte, the others are 32-bit numbers in host byte order.
const (
	SSEnabled       Setting = 27
	SSFlushDeadline Setting = 29 // milliseconds
	SSCapacity      Setting = 30 // sessions
)

// String returns the setting's name in `jool global`.
func (s Setting) String() string {
	switch s {
	case SSEnabled:
		return "ss-enabled"
	case SSFlushDeadline:
		return "ss-flush-deadline"
	case SSCapacity:
		return "ss-capacity"
	}
	return "unknown setting"
}

// Change is a new value of a setting.
type Change struct {
	Setting Setting
	Value   uint32
}

// Update appends a request to change settings. The module applies all changes or none. It checks every BIB entry
// first, and refuses with EINVAL if one is outside pool4.
func (r Requests) Update(dst []byte, seq uint32, changes ...Change) []byte {
	var settings []byte
	for _, c := range changes {
		if c.Setting == SSEnabled {
			settings = attr.Append(settings, int(c.Setting), byte(c.Value))
			continue
		}
		settings = attr.Append(settings, int(c.Setting), binary.NativeEndian.AppendUint32(nil, c.Value)...)
	}
	return r.message(dst, GlobalUpdate, seq, attr.Append(nil, attrGlobals|attr.Nested, settings...))
}

// AskUpdate changes settings of the instance (see Requests.Update).
func (c *Conn) AskUpdate(changes ...Change) error {
	return c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Update(dst, seq, changes...), nil }, func(Message) error { return nil })
}
