package joolnl

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/session"
)

// pool4Wire is an entry as a little-endian kernel encodes it: 192.0.2.0/24, ports 1024 to 65535, UDP, mark 7,
// 1024 iterations.
var pool4Wire = bare(`
	5000 0100
	0800 0100 07000000
	0800 0200 00040000
	0500 0300 02 000000
	0500 0400 01 000000
	1400 0580  0800 0100 c0000200  0500 0200 18 000000
	0600 0600 0004 0000
	0600 0700 ffff 0000`)

func bare(s string) []byte {
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		panic(err)
	}
	b[0] = byte(len(b))
	return b
}

var pool4Entry = Pool4Entry{
	Mark: 7, Iterations: 1024, Flags: 2, Proto: session.UDP,
	Prefix: netip.MustParsePrefix("192.0.2.0/24"), PortMin: 1024, PortMax: 65535,
}

func TestParsePool4(t *testing.T) {
	m := Message{Header: Header{Flags: flagMore}, Attrs: slices.Concat(pool4Wire, pool4Wire)}
	got, more, err := ParsePool4(nil, m)
	if d := cmp.Diff([]Pool4Entry{pool4Entry, pool4Entry}, got, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); d != "" || !more || err != nil {
		t.Errorf("more %v, %v (-want +got):\n%s", more, err, d)
	}
	got, more, err = ParsePool4(nil, Message{})
	if len(got) > 0 || more || err != nil {
		t.Errorf("of an empty page: %v, %v, %v", got, more, err)
	}
	for name, attrs := range map[string][]byte{
		"no ports":  bare("00000100 05000400 01000000 14000580 08000100 c0000200 05000200 18000000"),
		"no prefix": bare("00000100 05000400 01000000 06000600 00040000 06000700 ffff0000"),
		"too long":  append([]byte{200, 0, 1, 0}, pool4Wire[4:]...),
	} {
		if _, _, err := ParsePool4(nil, Message{Attrs: attrs}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestPool4Request(t *testing.T) {
	for _, test := range []struct {
		version       Version
		proto, offset byte
	}{{0x04010f00, 11, 8}, {0x0401ff05, 12, 9}} {
		r := Requests{Family: 32, Version: test.version, Instance: "nat"}
		first, err := r.Pool4(nil, 1, session.ICMP, nil)
		if want := []byte{5, 0, test.proto, 0, 2, 0, 0, 0}; err != nil || first[16] != 18 || !slices.Equal(first[attrsAt:], want) {
			t.Errorf("%v: first page: %x, %v", test.version, first, err)
		}
		next, err := r.Pool4(nil, 2, session.UDP, &pool4Entry)
		want := append([]byte{byte(len(pool4Wire)), 0, test.offset, 0x80}, pool4Wire[4:]...)
		if err != nil || !slices.Equal(next[attrsAt:], want) {
			t.Errorf("%v: next page: %x, want %x, %v", test.version, next[attrsAt:], want, err)
		}
	}
	if _, err := (Requests{}).Pool4(nil, 1, 3, nil); err == nil {
		t.Error("of protocol 3: no error")
	}
	if _, err := (Requests{}).Pool4(nil, 1, session.TCP, &Pool4Entry{}); err == nil {
		t.Error("behind nothing: no error")
	}
}

func TestPool4Digest(t *testing.T) {
	with := func(change func(*Pool4Entry)) Pool4Entry {
		e := pool4Entry
		change(&e)
		return e
	}
	tcp := with(func(e *Pool4Entry) { e.Proto = session.TCP })
	same := [][]Pool4Entry{
		{pool4Entry, tcp}, {tcp, pool4Entry}, {tcp, with(func(e *Pool4Entry) { e.Iterations, e.Flags = 9, 0 })},
	}
	for _, pool := range same {
		if got := Pool4Digest(pool); got != 0x18daf764 {
			t.Errorf("%#x of %v: a peer of another version would take it for another pool", got, pool)
		}
	}
	seen := map[uint32]int{}
	for i, pool := range [][]Pool4Entry{
		nil, {pool4Entry}, {tcp}, same[0], {pool4Entry, pool4Entry},
		{with(func(e *Pool4Entry) { e.Mark = 8 })},
		{with(func(e *Pool4Entry) { e.PortMin = 1025 })},
		{with(func(e *Pool4Entry) { e.PortMax = 1025 })},
		{with(func(e *Pool4Entry) { e.Prefix = netip.MustParsePrefix("192.0.2.0/25") })},
		{with(func(e *Pool4Entry) { e.Prefix = netip.MustParsePrefix("192.0.3.0/24") })},
	} {
		d := Pool4Digest(pool)
		if other, ok := seen[d]; ok || d == 0 {
			t.Errorf("pools %d and %d have digest %#x", i, other, d)
		}
		seen[d] = i
	}
}

func TestIterationsDigest(t *testing.T) {
	with := func(iterations uint32, flags uint8) Pool4Entry {
		e := pool4Entry
		e.Iterations, e.Flags = iterations, flags
		return e
	}
	tcp := with(9, 1)
	tcp.Proto = session.TCP
	for i, pool := range [][]Pool4Entry{{with(1024, 3)}, {with(7, 3)}, {with(7, 2)}} { // values computed by the module
		if got := IterationsDigest(pool); got != 0xee0359eb {
			t.Errorf("pool %d: %#x: a peer of another version would take it for another one", i, got)
		}
	}
	seen := map[uint32]int{}
	for i, pool := range [][]Pool4Entry{nil, {with(7, 3)}, {with(7, 1)}, {with(8, 1)}, {with(8, 5)}, {with(7, 1), tcp}} {
		d := IterationsDigest(pool)
		if other, ok := seen[d]; ok || d == 0 {
			t.Errorf("pools %d and %d have digest %#x", i, other, d)
		}
		seen[d] = i
	}
	if IterationsDigest([]Pool4Entry{with(7, 1), tcp}) != IterationsDigest([]Pool4Entry{tcp, with(7, 1)}) {
		t.Error("the order counts")
	}
}

// FuzzParsePool4 checks that an entry that was parsed can be the offset of a request.
func FuzzParsePool4(f *testing.F) {
	f.Add(pool4Wire)
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, _, err := ParsePool4(nil, Message{Attrs: b})
		if err != nil {
			return
		}
		for _, e := range entries {
			wire, err := e.append(nil)
			if err != nil {
				t.Fatalf("%+v: %v", e, err)
			}
			again, err := parsePool4Entry(wire)
			if err != nil || again != e {
				t.Errorf("%+v, then %+v, %v", e, again, err)
			}
		}
	})
}
