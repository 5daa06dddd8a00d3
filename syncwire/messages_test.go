package syncwire

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

func head(typ Type) []byte { return appendHead(nil, uint8(typ), 0xdeadbeef, 7) }

func cat(typ Type, fields ...[]byte) []byte { return append(head(typ), slices.Concat(fields...)...) }

func field(tag uint8, value ...byte) []byte      { return appendField(nil, tag, value...) }
func numbers(tag uint8, values ...uint32) []byte { return appendField32(nil, tag, values...) }

// randomBody returns a message that joolctl could send. big makes it as long as possible.
func randomBody(r *rand.Rand, big bool) Body {
	n := func(most int) int {
		if big {
			return most
		}
		return r.IntN(most + 1)
	}
	id := func() ID { return ID(r.Uint32() | 1) }
	settings := Settings{SSCapacity: r.Uint32(), SSMaxSessions: r.Uint32(), Pool4: r.Uint32(),
		SSFlushDeadline: r.Uint32(), SSMaxPayload: r.Uint32(), Iterations: r.Uint32(), SSFlushASAP: Switch(r.IntN(3))}
	for i := range settings.TTLs {
		settings.TTLs[i] = r.Uint32() | 1
	}
	if big || r.IntN(2) == 0 {
		settings.Pool6 = netip.PrefixFrom(netip.AddrFrom16([16]byte{byte(r.Uint32()), 15: byte(r.Uint32())}), 1+r.IntN(128))
	}
	var ranges []Range
	for range 1 + n(MaxRanges-1) {
		from := r.Uint32()
		ranges = append(ranges, Range{from, from + r.Uint32()>>1})
	}
	var audience []ID
	for range n(MaxAudience) {
		audience = append(audience, id())
	}
	var vector []Component
	for i := range n(MaxComponents) {
		c := Component{ID(i + 1), r.IntN(2) == 0, Position{}, Position{r.Uint32(), Seq(r.Uint32())}, r.Uint32()}
		if c.Known {
			c.Complete = Position{r.Uint32(), Seq(r.Uint32())}
		}
		vector = append(vector, c)
	}
	var heard []Heard
	if big || r.IntN(2) == 0 {
		heard = []Heard{}
		for range n(MaxHeard) {
			heard = append(heard, Heard{id(), uint16(r.Uint32())})
		}
	}
	records := make([]byte, (1+n(MaxBulk-1))*RecordLen)
	for i := range records {
		records[i] = byte(r.Uint32())
	}
	bulks := r.Uint32N(1 << 26)
	return []Body{
		&Hello{r.IntN(2) == 0, Sync(r.IntN(3)), r.Uint32(), r.Uint32(), settings, strings.Repeat("x", n(32)), r.IntN(2) == 0, uint8(r.Uint32()), r.Uint32(), vector, randomSecurity(r, big), heard, !big && r.IntN(2) == 0, 0},
		&Solicit{id()},
		&Nack{id(), r.Uint32(), ranges},
		&Gone{id(), r.Uint32(), ranges, big || r.IntN(2) == 0},
		&Begin{r.Uint32() | 1, Why(r.IntN(3)), audience, r.Uint32(), settings, vector, uint8(n(MaxBulk))},
		&Bulk{r.Uint32() | 1, r.Uint32(), records},
		&End{r.Uint32() | 1, uint32(min(1<<32-1, uint64(bulks)*MaxBulk)), bulks, r.IntN(2) == 0},
	}[r.IntN(7)]
}

// randomSecurity returns a random Security, sometimes an unknown one.
func randomSecurity(r *rand.Rand, big bool) Security {
	if !big && r.IntN(4) == 0 {
		return Security{}
	}
	ids := make([]uint8, MaxKeyIDs)
	for i := range ids {
		ids[i] = uint8(i*50 + r.IntN(50))
	}
	if !big {
		ids = ids[:r.IntN(MaxKeyIDs+1)]
	}
	return NewSecurity(SecurityMode(r.IntN(4)), ids...)
}

// TestMessages encodes messages of all kinds. Each one decodes to the same message and fits a frame, and a
// module finds no session in it.
func TestMessages(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	longest := 0
	for i := range 2000 {
		m := Message{ID(r.Uint32() | 1), Seq(r.Uint32()), randomBody(r, i%2 == 0)}
		b := m.Append([]byte("before"))[6:]
		longest = max(longest, len(b))
		if len(b) > MaxMessage || !isMark(b) {
			t.Fatalf("%d bytes: %x", len(b), b)
		}
		got, err := Parse(b)
		if diff := cmp.Diff(m, got, equal); err != nil || diff != "" {
			t.Fatalf("%x: %v (-want +got):\n%s", b, err, diff)
		}
		for _, f := range formats {
			if n, err := f.CheckList(b); n != 0 || err != nil {
				t.Fatalf("a module of format %v sees %d sessions in %x, %v", f, n, b, err)
			}
			if _, _, err := Sessions(b, f); err != ErrNotUnderstood {
				t.Fatalf("Sessions of %x: %v", b, err)
			}
		}
		if _, err := Parse(append(b, 200, 0, 1, 7)); err != nil {
			t.Fatalf("%x with a later version's field: %v", b, err)
		}
	}
	full := Message{1, 0, &Bulk{1, 1, make([]byte, MaxBulk*RecordLen)}}
	if n := len(full.Append(nil)); n > longest || n+RecordLen <= MaxMessage {
		t.Errorf("a full BULK has %d bytes, the longest message %d; another session would fit, or the messages were short", n, longest)
	}
}

// TestTrailerBehindSessions checks that a module reads the sessions of a datagram with a trailer, and ignores
// the trailer.
func TestTrailerBehindSessions(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, f := range formats {
		for range 1000 {
			n := 1 + r.IntN(session.MaxPerMessage)
			want := list(t, f, n)
			trailer := Trailer{Kind(r.IntN(3)), ID(r.Uint32() | 1), Seq(r.Uint32())}
			b := trailer.Append(slices.Clone(want))
			if len(b) != len(want)+TrailerLen {
				t.Fatalf("a trailer of %d bytes", len(b)-len(want))
			}
			for range r.IntN(3) { // bytes that a later version may add
				b = append(b, byte(r.Uint32()))
			}
			if got, err := f.CheckList(b); got != n || err != nil {
				t.Fatalf("%v: a module sees %d sessions of %d, %v", f, got, n, err)
			}
			entries, behind, err := Sessions(b, f)
			if err != nil || !bytes.Equal(entries, want) {
				t.Fatalf("%v: %d bytes of sessions, %v", f, len(entries), err)
			}
			if got, ok := ParseTrailer(behind); !ok || got != trailer {
				t.Fatalf("%+v comes back as %+v, %v", trailer, got, ok)
			}
		}
	}
}

func TestParseTrailerRefuses(t *testing.T) {
	good := Trailer{Retransmission, 5, 6}.Append(nil)
	change := func(at int, v byte) []byte { b := slices.Clone(good); b[at] = v; return b }
	for name, b := range map[string][]byte{
		"nothing": nil, "a mark": good[:2], "cut": good[:11], "no mark": change(0, 1), "half a mark": change(1, 1),
		"version 0": change(2, 0), "version 2": change(2, 2), "kind 3": change(3, 3), "sender 0": change(7, 0),
	} {
		if got, ok := ParseTrailer(b); ok || got != (Trailer{}) {
			t.Errorf("%s: %+v, %v", name, got, ok)
		}
	}
	if got, ok := ParseTrailer(append(good, 1, 2, 3)); !ok || got != (Trailer{Retransmission, 5, 6}) {
		t.Errorf("a longer one: %+v, %v", got, ok)
	}
}

func TestSeq(t *testing.T) {
	for _, base := range []Seq{0, 1, 1000, 1<<31 - 1, 1 << 31, 1<<31 + 1, 1<<32 - 2, 1<<32 - 1} {
		for _, c := range []struct {
			ahead Seq
			after bool
		}{{0, false}, {1, true}, {2, true}, {1<<31 - 1, true}, {1<<31 + 1, false}, {1<<32 - 1, false}} {
			if got := (base + c.ahead).After(base); got != c.after {
				t.Errorf("%d after %d: %v", base+c.ahead, base, got)
			}
			if c.ahead != 0 && base.After(base+c.ahead) == c.after {
				t.Errorf("%d and %d are in no order", base, base+c.ahead)
			}
		}
		// Two numbers that are 1<<31 apart have no defined order, but not both may come after the other.
		if far := base + 1<<31; far.After(base) && base.After(far) {
			t.Errorf("%d and %d come after each other", base, far)
		}
	}
}

func TestSettings(t *testing.T) {
	s := exampleSettings
	for _, c := range []struct {
		proto session.Proto
		timer session.Timer
		want  time.Duration
	}{
		{session.TCP, session.TimerEstablished, 2 * time.Hour}, {session.TCP, session.TimerTransitory, 4 * time.Minute},
		{session.TCP, session.TimerSYN4, 6 * time.Second}, {session.UDP, session.TimerEstablished, 5 * time.Minute},
		{session.ICMP, session.TimerEstablished, time.Minute},
	} {
		if got := s.TTL(uint8(c.proto), uint8(c.timer)); got != c.want {
			t.Errorf("%v, timer %d: %v", c.proto, c.timer, got)
		}
	}
	if d := s.Diff(s); d != nil {
		t.Errorf("the same settings differ in %v", d)
	}
	other := Settings{Pool6: netip.MustParsePrefix("64:ff9b::/64"), Pool4: 1, SSMaxSessions: 1, SSFlushDeadline: 1, SSMaxPayload: 1, SSFlushASAP: SwitchOn, Iterations: 1}
	want := []string{"pool6", "tcp-est-timeout", "tcp-trans-timeout", "udp-timeout", "icmp-timeout", "ss-capacity", "ss-max-sessions-per-packet",
		"ss-flush-deadline", "ss-flush-asap", "ss-max-payload", "pool4"}
	if got := s.Diff(other); !slices.Equal(got, want) {
		t.Errorf("they differ in %v", got)
	}
	other = s
	if other.Iterations++; !slices.Equal(s.Diff(other), []string{PoolIterations}) {
		t.Errorf("they differ in %v", s.Diff(other))
	}
	// A setting that is unknown on one of the two peers is not reported.
	for name, forget := range map[string]func(*Settings){
		"pool4":                      func(s *Settings) { s.Pool4 = 0 },
		"ss-max-sessions-per-packet": func(s *Settings) { s.SSMaxSessions = 0 },
		"ss-flush-deadline":          func(s *Settings) { s.SSFlushDeadline = 0 },
		"ss-flush-asap":              func(s *Settings) { s.SSFlushASAP = SwitchUnknown },
		"ss-max-payload":             func(s *Settings) { s.SSMaxPayload = 0 },
		"pool4-max-iterations":       func(s *Settings) { s.Iterations = 0 },
	} {
		other := s
		if forget(&other); s.Diff(other) != nil || other.Diff(s) != nil {
			t.Errorf("%s that is not known differs", name)
		}
	}
}

func TestNames(t *testing.T) {
	got := fmt.Sprint(TypeHello, TypeSolicit, TypeNack, TypeBegin, TypeBulk, TypeEnd, TypeGone, Type(0), Type(8), SyncNo, SyncYes, SyncAlone, Sync(9))
	if want := "HELLO SOLICIT NACK BEGIN BULK END GONE Type(0) Type(8) no yes alone no"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	everybody, two := Begin{}, Begin{Audience: []ID{5, 6}}
	if !everybody.For(7) || two.For(7) || !two.For(6) {
		t.Error("For")
	}
}

// TestParseAllocatesLittle parses the longest messages that a peer can send.
func TestParseAllocatesLittle(t *testing.T) {
	fields := func(f []byte) []byte { return bytes.Repeat(f, 60_000/len(f)) }
	full := numbers(2, slices.Repeat([]uint32{1}, 2*MaxRanges)...)
	for name, b := range map[string][]byte{
		"unknown fields":    cat(TypeHello, fields(field(9))),
		"names":             cat(TypeHello, fields(field(4, bytes.Repeat([]byte{'a'}, 32)...))[:30_000/35*35]),
		"settings":          cat(TypeHello, fields(field(3, settingsWith(0)...))),
		"ranges":            cat(TypeNack, numbers(1, 9, 0), full),
		"ranges many times": cat(TypeNack, numbers(1, 9, 0), fields(full)),
		"no ranges":         cat(TypeNack, fields(numbers(2))),
		"vectors":           cat(TypeHello, fields(appendVector(nil, 6, fullVector()))),
		"sessions":          cat(TypeBulk, fields(field(2, make([]byte, MaxBulk*RecordLen)...))),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		const rounds = 100
		for range rounds {
			_, _ = Parse(b)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / rounds; n > uint64(len(b))+4096 {
			t.Errorf("%s: %d bytes are allocated for a message of %d", name, n, len(b))
		}
	}
}
