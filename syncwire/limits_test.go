package syncwire

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"joolctl/session"
)

// TestLimits builds the longest datagram of each kind for several MTUs. Its packet fits the MTU, and with one
// more session or component it does not, unless another bound is lower.
func TestLimits(t *testing.T) {
	for _, mtu := range []int{MinMTU, 1281, 1400, 1420, DefaultMTU, 2000, 4000, MaxMTU} {
		for _, ipv4 := range []bool{true, false} {
			for _, sealed := range []bool{true, false} {
				t.Run(fmt.Sprintf("%d, IPv4 %v, sealed %v", mtu, ipv4, sealed), func(t *testing.T) { testLimits(t, mtu, ipv4, sealed) })
			}
		}
	}
}

func testLimits(t *testing.T, mtu int, ipv4, sealed bool) {
	l := NewLimits(mtu, ipv4, sealed)
	packet := func(b []byte, f session.Format) int {
		n := 48
		if ipv4 {
			n = 28
		}
		if sealed {
			b = AppendSealed(nil, b, f)
			n += 28 + 16
		}
		return n + len(b)
	}
	full := func(what string, n, most int, make func(n int) []byte, f session.Format) {
		t.Helper()
		if got := packet(make(n), f); n < 1 || got > mtu {
			t.Errorf("%s, %d: a packet of %d bytes", what, n, got)
		}
		if n < most && packet(make(n+1), f) <= mtu {
			t.Errorf("%s: %d fit, not only %d", what, n+1, n)
		}
	}
	for _, f := range formats {
		full(fmt.Sprint("sessions of ", f), l.Sessions(f), session.MaxPerMessage, func(n int) []byte { return exampleList(t, f, n) }, f)
	}
	full("BULK", l.Bulk(), MaxBulk, func(n int) []byte {
		return Message{1, 2, &Bulk{3, 4, slices.Repeat(exampleRecord(), n)}}.Append(nil)
	}, 0)

	hello := &Hello{Settings: exampleSettings, Software: strings.Repeat("x", 32), Vector: fullVector(), Heard: slices.Repeat([]Heard{{1, 2}}, MaxHeard)}
	begin := &Begin{FullSync: 42, Audience: slices.Repeat([]ID{9}, MaxAudience), Settings: exampleSettings, Vector: fullVector(), PerBulk: 5}
	l.Shorten(hello)
	l.Shorten(begin)
	for _, c := range []struct {
		body   Body
		vector *[]Component
		spare  int
	}{{hello, &hello.Vector, fieldHead}, {begin, &begin.Vector, 0}} {
		write := func(n int) []byte {
			*c.vector = fullVector()[:n]
			return append(Message{1, 2, c.body}.Append(nil), make([]byte, c.spare)...)
		}
		full(c.body.messageType().String(), len(*c.vector), MaxComponents, write, 0)
	}

	hello.Vector = fullVector()
	l.Pad(hello)
	if got := packet(Message{1, 2, hello}.Append(nil), 0); got != mtu || !hello.Padded {
		t.Errorf("a padded HELLO is a packet of %d bytes", got)
	}
	longest := &Nack{To: 1, Ranges: slices.Repeat([]Range{{1, 1}}, MaxRanges)}
	if got := packet(Message{1, 2, longest}.Append(nil), 0); got > mtu {
		t.Errorf("the longest NACK is a packet of %d bytes", got)
	}
}

// TestLimitsRange checks that MTUs out of range are clamped.
func TestLimitsRange(t *testing.T) {
	for mtu, want := range map[int]int{0: MinMTU, 576: MinMTU, MinMTU: MinMTU, 1492: 1492, MaxMTU: MaxMTU, 65536: MaxMTU} {
		if got := NewLimits(mtu, false, false).MTU; got != want {
			t.Errorf("%d: %d, want %d", mtu, got, want)
		}
	}
	if got := NewLimits(9000, true, true).Within(1400); got != NewLimits(1400, true, true) {
		t.Errorf("%+v", got)
	}
	if got := NewLimits(DefaultMTU, false, false).Datagram(); got != MaxMessage {
		t.Errorf("%d bytes in a frame, want %d", got, MaxMessage)
	}
}

// TestFewOrigins checks that Shorten keeps a vector of 33 components, which every host can have.
func TestFewOrigins(t *testing.T) {
	const origins = 33
	l := NewLimits(MinMTU, false, true)
	hello := &Hello{Settings: exampleSettings, Software: strings.Repeat("x", 32), Vector: fullVector()[:origins], Heard: make([]Heard, MaxHeard)}
	begin := &Begin{FullSync: 42, Audience: make([]ID, MaxAudience), Settings: exampleSettings, Vector: fullVector()[:origins], PerBulk: 5}
	l.Shorten(hello)
	l.Shorten(begin)
	if len(hello.Vector) != origins || len(begin.Vector) != origins {
		t.Errorf("%d components in a HELLO, %d in a BEGIN", len(hello.Vector), len(begin.Vector))
	}
}
