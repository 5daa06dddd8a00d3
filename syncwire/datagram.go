// Package syncwire is what peers exchange over the network. It is pure: bytes
// in, values out.
//
// A datagram is upstream's: a list of sessions in the sender's Jool's own
// format (see session.Format), with nothing around it.
package syncwire

import (
	"errors"

	"joolctl/session"
)

// Reasons not to give a datagram to the kernel.
var (
	// ErrOtherFormat: it holds sessions of another Jool version's format.
	ErrOtherFormat = errors.New("sessions in another Jool version's format")
	// ErrNotUnderstood: it begins with 00 00, as what a newer peer has to say
	// does. Neither upstream's joolds nor the modules look at such bytes.
	ErrNotUnderstood = errors.New("a message of a newer kind")
	// ErrMalformed is all else. The errors that wrap it say more.
	ErrMalformed = errors.New("malformed")
)

// malformed is ErrMalformed for a reason; none is made on the hot path.
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

// Sessions returns the sessions that a datagram holds, all of them fit for a
// module of format f, and what stands behind them, which begins with 00 00 if
// it is not empty. It allocates nothing.
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

// isMark tells what a module stops at: an attribute of length 0.
func isMark(b []byte) bool { return len(b) >= 2 && b[0] == 0 && b[1] == 0 }
