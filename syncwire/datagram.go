// Package syncwire encodes and decodes the datagrams that peers exchange. It is pure: bytes in, values out, no
// I/O.
//
// A datagram of sessions has upstream's form: a list of sessions in the encoding of the sender's Jool version
// (see session.Format). joolctl appends a trailer. docs/wire.md describes all datagrams.
package syncwire

import (
	"errors"

	"joolctl/session"
)

// Reasons to drop a datagram instead of passing it to the kernel.
var (
	// ErrOtherFormat is returned for sessions in the format of another Jool version.
	ErrOtherFormat = errors.New("sessions in another Jool version's format")
	// ErrNotUnderstood is returned for a datagram that begins with 00 00, as messages of newer peers do.
	// Upstream's joolds and the modules ignore such bytes.
	ErrNotUnderstood = errors.New("a message of a newer kind")
	// ErrMalformed is wrapped by all other errors, whose texts name the cause.
	ErrMalformed = errors.New("malformed")
)

// malformed is an ErrMalformed with a reason. All values are made in advance, so the hot path allocates none.
type malformed struct{ why error }

func (e *malformed) Error() string   { return "malformed: " + e.why.Error() }
func (e *malformed) Unwrap() []error { return []error{ErrMalformed, e.why} }

var (
	errEmpty  = &malformed{errors.New("an empty datagram")}
	errBehind = &malformed{errors.New("bytes behind the last session that are none")}
	reasons   = wrapAll(session.ErrEntryLength, session.ErrEntryType, session.ErrProto, session.ErrStateTimer,
		session.ErrReserved, session.ErrNested, session.ErrTooMany)
)

func wrapAll(errs ...error) map[error]error {
	m := make(map[error]error)
	for _, err := range errs {
		m[err] = &malformed{err}
	}
	return m
}

// Sessions splits a datagram into its sessions, all of which a module of format f accepts, and the bytes behind
// them. The latter are empty or begin with 00 00. Sessions allocates no memory.
func Sessions(b []byte, f session.Format) (entries, trailer []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errEmpty
	}
	if isMark(b) {
		return nil, nil, ErrNotUnderstood
	}
	n, err := f.CheckList(b)
	if err != nil {
		if other := session.ListFormat(b); n == 0 && other != f && other.Check(b) == nil {
			return nil, nil, ErrOtherFormat
		}
		return nil, nil, reasons[err]
	}
	entries, trailer = b[:n*f.EntryLen()], b[n*f.EntryLen():]
	if n == 0 || len(trailer) > 0 && !isMark(trailer) {
		return nil, nil, errBehind
	}
	return entries, trailer, nil
}

// isMark reports whether b begins with 00 00. A module reads this as an attribute of length 0, and stops there.
func isMark(b []byte) bool { return len(b) >= 2 && b[0] == 0 && b[1] == 0 }
