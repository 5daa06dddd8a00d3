package metrics

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Format is a text format for metrics.
type Format int

const (
	// Text is the text format of Prometheus, version 0.0.4.
	Text Format = iota
	// OpenMetrics is the text format of OpenMetrics, version 1.0.0.
	OpenMetrics
)

// ContentType returns the media type of the format.
func (f Format) ContentType() string {
	if f == OpenMetrics {
		return "application/openmetrics-text; version=1.0.0; charset=utf-8"
	}
	return "text/plain; version=0.0.4; charset=utf-8"
}

// flushAt is how many bytes an encoder collects before it writes them. It is all the memory that a scrape needs for its
// text, however many series there are.
const flushAt = 32 << 10

// encoder writes families of metrics. It allocates nothing for a sample.
type encoder struct {
	w      io.Writer
	format Format
	buf    []byte
	err    error
	at     time.Time // the moment of the snapshot
	// family is the family of the next samples. pair is the value of their label pair; "": they have no such label.
	family *Family
	pair   string
	begun  bool // the family has a sample
}

func (e *encoder) flush() {
	if e.err == nil && len(e.buf) > 0 {
		_, e.err = e.w.Write(e.buf)
	}
	e.buf = e.buf[:0]
}

// begin begins a family. A family without a sample is not written.
func (e *encoder) begin(f *Family) { e.family, e.pair, e.begun = f, "", false }

// head writes the lines that precede the samples of a family.
func (e *encoder) head() {
	e.begun = true
	f, name := e.family, e.family.Name
	if e.format == OpenMetrics {
		name = f.base()
	}
	e.meta("HELP", name)
	e.buf = appendEscaped(e.buf, f.Help, e.format == OpenMetrics)
	e.buf = append(e.buf, '\n')
	e.meta("TYPE", name)
	e.buf = append(append(e.buf, f.Type.in(e.format)...), '\n')
	if e.format == OpenMetrics && f.Unit != "" {
		e.meta("UNIT", name)
		e.buf = append(append(e.buf, f.Unit...), '\n')
	}
}

func (e *encoder) meta(what, name string) {
	e.buf = append(append(e.buf, "# "...), what...)
	e.buf = append(append(e.buf, ' '), name...)
	e.buf = append(e.buf, ' ')
}

// labels writes the name of a sample and its labels. values are the values of the family's Labels.
func (e *encoder) labels(values []string) {
	if !e.begun {
		e.head()
	}
	e.buf = append(e.buf, e.family.Name...)
	if e.pair == "" && len(values) == 0 {
		e.buf = append(e.buf, ' ')
		return
	}
	e.buf = append(append(e.buf, '{'), e.pair...)
	for i, value := range values {
		if i > 0 || e.pair != "" {
			e.buf = append(e.buf, ',')
		}
		e.buf = appendLabel(e.buf, e.family.Labels[i].Name, value)
	}
	e.buf = append(e.buf, "} "...)
}

// appendLabel appends a label. It replaces invalid UTF-8 in the value, because a scraper would refuse the whole answer.
func appendLabel(dst []byte, name, value string) []byte {
	if !utf8.ValidString(value) {
		value = strings.ToValidUTF8(value, string(utf8.RuneError))
	}
	dst = append(append(dst, name...), `="`...)
	return append(appendEscaped(dst, value, true), '"')
}

// end ends a sample.
func (e *encoder) end() {
	e.buf = append(e.buf, '\n')
	if len(e.buf) >= flushAt {
		e.flush()
	}
}

// count writes a sample with an integer value.
func (e *encoder) count(n uint64, values ...string) {
	e.labels(values)
	e.buf = strconv.AppendUint(e.buf, n, 10)
	e.end()
}

// number writes a sample.
func (e *encoder) number(x float64, values ...string) {
	e.labels(values)
	e.buf = strconv.AppendFloat(e.buf, x, 'g', -1, 64)
	e.end()
}

// truth writes a sample that is 1 for true and 0 for false.
func (e *encoder) truth(is bool, values ...string) {
	n := uint64(0)
	if is {
		n = 1
	}
	e.count(n, values...)
}

// appendEscaped appends a text in which backslashes, line feeds and, if quotes is true, quotation marks are escaped.
func appendEscaped(dst []byte, s string, quotes bool) []byte {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '\n':
			dst = append(dst, '\\', 'n')
		case c == '\\', c == '"' && quotes:
			dst = append(dst, '\\', c)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
