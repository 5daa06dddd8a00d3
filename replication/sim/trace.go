package sim

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
)

// Trace digests everything that happens. Two runs with one digest were the same.
type Trace struct {
	clock  *Clock
	digest uint64
	events uint64
	text   io.Writer // nil: none
	line   []byte
}

// NewTrace returns a Trace. It also writes a line per event to text, unless text is nil.
func NewTrace(c *Clock, text io.Writer) *Trace {
	return &Trace{clock: c, digest: fnvOffset, text: text}
}

// Digest returns a number that depends on all events so far, their order, times and data.
func (t *Trace) Digest() uint64 { return t.digest }

// Events returns the number of events so far.
func (t *Trace) Events() uint64 { return t.events }

// Event adds an event of a host; -1 stands for the environment. data may be long and is digested only.
func (t *Trace) Event(host int, what string, data []byte, numbers ...int64) {
	t.events++
	t.number(int64(t.clock.Elapsed()))
	t.number(int64(host))
	t.add(what)
	for _, n := range numbers {
		t.number(n)
	}
	for len(data) >= 8 {
		t.number(int64(binary.LittleEndian.Uint64(data)))
		data = data[8:]
	}
	for _, b := range data {
		t.byte(b)
	}
	if t.text == nil {
		return
	}
	t.begin(host)
	t.line = append(t.line, what...)
	for _, n := range numbers {
		t.line = strconv.AppendInt(append(t.line, ' '), n, 10)
	}
	t.end()
}

// Note writes a line into the text only.
func (t *Trace) Note(host int, format string, args ...any) {
	if t.text == nil {
		return
	}
	t.begin(host)
	t.line = fmt.Appendf(t.line, format, args...)
	t.end()
}

func (t *Trace) begin(host int) {
	t.line = fmt.Appendf(t.line[:0], "%12.6f ", t.clock.Elapsed().Seconds())
	if host >= 0 {
		t.line = fmt.Appendf(t.line, "host %d: ", host)
	}
}

func (t *Trace) end() { _, _ = t.text.Write(append(t.line, '\n')) }

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

func (t *Trace) byte(b byte) { t.digest = (t.digest ^ uint64(b)) * fnvPrime }

// number digests eight bytes at once: FNV-1a's step, and a shift that carries the upper bits down.
func (t *Trace) number(n int64) {
	t.digest = (t.digest ^ uint64(n)) * fnvPrime
	t.digest ^= t.digest >> 32
}

func (t *Trace) add(s string) {
	for i := range len(s) {
		t.byte(s[i])
	}
}
