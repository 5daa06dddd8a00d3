package replication

import (
	"joolctl/session"
	"joolctl/syncwire"
)

// laterSessions is how many sessions a later remembers at least, unless there were fewer.
const laterSessions = 4096

// later remembers the sessions of the datagrams that were delivered last while earlier ones are missing. A sender leaves out of a
// retransmission what it has sent again before, but the network may have the retransmission arrive behind a datagram that was
// sent after it.
type later struct {
	recent, before map[session.Key]syncwire.Seq
}

// add notes the sessions of a datagram.
func (l *later) add(seq syncwire.Seq, entries []byte) {
	if len(l.recent) >= laterSessions {
		l.recent, l.before = nil, l.recent
	}
	if l.recent == nil {
		l.recent = make(map[session.Key]syncwire.Seq)
	}
	f := session.ListFormat(entries)
	for range f.CountList(entries) {
		r := f.Record(entries)
		l.recent[r.Key()] = seq
		entries = entries[f.EntryLen():]
	}
}

// has reports whether a session was in a datagram after the given one.
func (l *later) has(key session.Key, seq syncwire.Seq) bool {
	if last, is := l.recent[key]; is && last.After(seq) {
		return true
	}
	last, is := l.before[key]
	return is && last.After(seq)
}

// Superseded reports whether a session of the retransmission that is being delivered was in a later datagram that was delivered
// before.
func (s *Stream) Superseded(key session.Key) bool {
	return s.later != nil && s.later.has(key, s.repairing)
}
