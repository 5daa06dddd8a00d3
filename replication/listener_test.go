package replication

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"joolctl/syncwire"
)

// listener records what a Stream delivers.
type listener struct {
	Stream
	t   testing.TB
	now time.Time
	got []syncwire.Seq
}

func newListener(t testing.TB) *listener {
	return &listener{t: t, now: time.Unix(1_000_000, 0)}
}

func payload(seq syncwire.Seq) []byte { return binary.BigEndian.AppendUint32(nil, uint32(seq)) }

func (l *listener) deliver(b []byte) { l.got = append(l.got, syncwire.Seq(binary.BigEndian.Uint32(b))) }

// hear receives datagrams of one kind.
func (l *listener) hear(kind syncwire.Kind, seqs ...syncwire.Seq) {
	for _, seq := range seqs {
		b := payload(seq)
		l.Receive(kind, seq, b, l.now, l.deliver)
		clear(b) // the buffer is used again
	}
}

func (l *listener) live(seqs ...syncwire.Seq) { l.hear(syncwire.Live, seqs...) }

func (l *listener) repeat(seqs ...syncwire.Seq) { l.hear(syncwire.Retransmission, seqs...) }

func (l *listener) says(last syncwire.Seq) { l.ExpectUpTo(last, l.now, l.deliver) }

// after lets time pass, and returns what is asked for.
func (l *listener) after(d time.Duration) []syncwire.Range {
	l.now = l.now.Add(d)
	ask, _ := l.Tick(l.now, l.deliver)
	return ask
}

// want compares what was delivered since it was last called.
func (l *listener) want(seqs ...syncwire.Seq) {
	l.t.Helper()
	if !slices.Equal(l.got, seqs) {
		l.t.Errorf("delivered %v, want %v", l.got, seqs)
	}
	l.got = nil
}

// nacks checks what is requested now: pairs of from and to.
func (l *listener) nacks(got []syncwire.Range, want ...uint32) {
	l.t.Helper()
	var ranges []syncwire.Range
	for i := 0; i < len(want); i += 2 {
		ranges = append(ranges, syncwire.Range{From: want[i], To: want[i+1]})
	}
	if !slices.Equal(got, ranges) {
		l.t.Errorf("asked for %v, want %v", got, ranges)
	}
}

// counts checks the losses, and that nothing waits.
func (l *listener) counts(lost, repaired uint64) {
	l.t.Helper()
	if l.lost != lost || l.repaired != repaired {
		l.t.Errorf("%d lost and %d repaired, want %d and %d", l.lost, l.repaired, lost, repaired)
	}
}

func (l *listener) idle() {
	l.t.Helper()
	if ask, again := l.Tick(l.now, l.deliver); len(l.buffered)+len(l.missing)+len(ask) > 0 || !again.IsZero() {
		l.t.Errorf("held %d, missing %d, asks for %v and comes again at %v", len(l.buffered), len(l.missing), ask, again)
	}
}
