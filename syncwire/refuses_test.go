package syncwire

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// settingsWith returns the encoded exampleSettings with some bytes changed.
func settingsWith(at int, b ...byte) []byte {
	s := exampleSettings.append(nil)
	copy(s[at:], b)
	return s
}

func TestParseRefuses(t *testing.T) {
	long := slices.Repeat([]uint32{1}, 2*(MaxRanges+1))
	goodTo, goodRange := numbers(1, 9, 0), numbers(2, 3, 4)
	goodBegin := []byte(slices.Concat(numbers(1, 42, 1), field(2, 0), numbers(3)))
	settings := field(4, settingsWith(0)...)
	record := exampleRecord()
	for _, c := range []struct {
		name string
		in   []byte
		want error
	}{
		{"nothing", nil, errVersion},
		{"a mark alone", []byte{0, 0}, errVersion},
		{"half a head", head(TypeSolicit)[:11], errVersion},
		{"no mark", append([]byte{1}, cat(TypeSolicit, numbers(1, 9))[1:]...), errVersion},
		{"version 0", append([]byte{0, 0, 0}, cat(TypeSolicit, numbers(1, 9))[3:]...), errVersion},
		{"version 2", append([]byte{0, 0, 2}, cat(TypeSolicit, numbers(1, 9))[3:]...), errVersion},
		{"type 0", cat(0), errType},
		{"type 8", cat(TypeGone + 1), errType},
		{"type 255", cat(255), errType},
		{"sender 0", appendHead(nil, uint8(TypeHello), 0, 7), errMissing},

		{"a tag alone", cat(TypeHello, []byte{1}), errField},
		{"half a length", cat(TypeHello, []byte{1, 0}), errField},
		{"a field longer than the message", cat(TypeHello, []byte{9, 0, 1}), errField},
		{"a field of 65535", cat(TypeHello, []byte{9, 255, 255, 0}), errField},
		{"a good field and half of one", cat(TypeSolicit, numbers(1, 9), []byte{9, 0, 2, 1}), errField},

		{"HELLO, short state", cat(TypeHello, field(1, 1)), errLength},
		{"HELLO, sync 3", cat(TypeHello, field(1, 1, 3)), errRange},
		{"HELLO, short numbers", cat(TypeHello, field(2, 0, 0, 0, 1, 4, 1, 15)), errLength},
		{"HELLO, short settings", cat(TypeHello, field(3, settingsWith(0)[:settingsLen-1]...)), errLength},
		{"HELLO, pool6 of /129", cat(TypeHello, field(3, settingsWith(16, 129)...)), errRange},
		{"HELLO, neither on nor off", cat(TypeHello, field(3, settingsWith(57, 3)...)), errRange},
		{"HELLO, a long name", cat(TypeHello, field(4, bytes.Repeat([]byte{'a'}, 33)...)), errRange},
		{"HELLO, a name of two lines", cat(TypeHello, field(4, []byte("a\nb")...)), errRange},
		{"HELLO, an escape in its name", cat(TypeHello, field(4, []byte("\x1b[2J")...)), errRange},
		{"HELLO, a name that is not ASCII", cat(TypeHello, field(4, []byte("ä")...)), errRange},

		{"HELLO, short generation", cat(TypeHello, field(5, 0, 0, 1)), errLength},
		{"HELLO, half a component", cat(TypeHello, field(6, make([]byte, componentLen/2)...)), errLength},

		{"HELLO, security of no bytes", cat(TypeHello, field(7)), errLength},
		{"HELLO, a fifth key", cat(TypeHello, field(7, 2, 1, 2, 3, 4, 5)), errLength},
		{"HELLO, no such mode", cat(TypeHello, field(7, 4, 1)), errRange},
		{"HELLO, a key twice", cat(TypeHello, field(7, 2, 1, 0, 1)), errRange},

		{"SOLICIT without a field", cat(TypeSolicit), errMissing},
		{"SOLICIT, short", cat(TypeSolicit, field(1, 0, 0, 9)), errLength},
		{"SOLICIT to nobody", cat(TypeSolicit, numbers(1, 0)), errMissing},

		{"NACK without fields", cat(TypeNack), errMissing},
		{"NACK, short", cat(TypeNack, numbers(1, 9), goodRange), errLength},
		{"NACK to nobody", cat(TypeNack, numbers(1, 0, 0), goodRange), errMissing},
		{"NACK without ranges", cat(TypeNack, goodTo), errMissing},
		{"NACK, no range", cat(TypeNack, goodTo, numbers(2)), errMissing},
		{"NACK, half a range", cat(TypeNack, goodTo, numbers(2, 3, 4, 5)), errLength},
		{"NACK, 65 ranges", cat(TypeNack, goodTo, numbers(2, long...)), errLength},
		{"NACK, ranges twice", cat(TypeNack, goodTo, goodRange, goodRange), errLength},
		{"NACK, 64 ranges twice", cat(TypeNack, goodTo, numbers(2, long[2:]...), numbers(2, long[2:]...)), errLength},
		{"NACK, a range reversed", cat(TypeNack, goodTo, numbers(2, 4, 3)), errRange},
		{"NACK, the last range reversed", cat(TypeNack, goodTo, numbers(2, 1, 1, 4, 3)), errRange},
		{"NACK, a range of half of all", cat(TypeNack, goodTo, numbers(2, 0, 1<<31)), errRange},
		{"NACK, a range of all", cat(TypeNack, goodTo, numbers(2, 0, 1<<32-1)), errRange},

		{"GONE without fields", cat(TypeGone), errMissing},
		{"GONE without ranges", cat(TypeGone, goodTo, field(3, 1)), errMissing},
		{"GONE, a range reversed", cat(TypeGone, goodTo, numbers(2, 4, 3)), errRange},
		{"GONE, 65 ranges", cat(TypeGone, goodTo, numbers(2, long...)), errLength},

		{"BEGIN without fields", cat(TypeBegin), errMissing},
		{"BEGIN, short", cat(TypeBegin, numbers(1, 42), settings), errLength},
		{"BEGIN 0", cat(TypeBegin, numbers(1, 0, 1), settings), errMissing},
		{"BEGIN without settings", cat(TypeBegin, goodBegin), errMissing},
		{"BEGIN, short settings", cat(TypeBegin, goodBegin, field(4, settingsWith(0)[:settingsLen-1]...)), errLength},
		{"BEGIN, a timeout of 0", cat(TypeBegin, goodBegin, field(4, settingsWith(29, 0, 0, 0, 0)...)), errMissing},
		{"BEGIN, no reason", cat(TypeBegin, numbers(1, 42, 1), field(2), settings), errLength},
		{"BEGIN, reason 3", cat(TypeBegin, numbers(1, 42, 1), field(2, 3), settings), errRange},
		{"BEGIN, half a receiver", cat(TypeBegin, numbers(1, 42, 1), field(3, 0, 0, 9), settings), errLength},
		{"BEGIN, 33 receivers", cat(TypeBegin, numbers(1, 42, 1), numbers(3, slices.Repeat([]uint32{9}, MaxAudience+1)...), settings), errLength},
		{"BEGIN, receivers twice", cat(TypeBegin, numbers(1, 42, 1), numbers(3, 9), numbers(3, 8), settings), errLength},

		{"BEGIN, BULKs of no sessions", cat(TypeBegin, goodBegin, settings, field(6, 0)), errRange},
		{"BEGIN, BULKs of too many sessions", cat(TypeBegin, goodBegin, settings, field(6, MaxBulk+1)), errRange},
		{"BEGIN, BULKs without a number", cat(TypeBegin, goodBegin, settings, field(6)), errLength},
		{"HELLO, half a heard sender", cat(TypeHello, field(8, 1, 2, 3)), errLength},
		{"HELLO, 17 heard senders", cat(TypeHello, field(8, make([]byte, 17*6)...)), errLength},
		{"HELLO, heard senders twice", cat(TypeHello, field(8), field(8)), errLength},
		{"HELLO, padding longer than any datagram", cat(TypeHello, field(9, make([]byte, 9001)...)), errLength},

		{"BULK without fields", cat(TypeBulk), errMissing},
		{"BULK of full sync 0", cat(TypeBulk, numbers(1, 0, 1), field(2, record...)), errMissing},
		{"BULK, short", cat(TypeBulk, numbers(1, 42), field(2, record...)), errLength},
		{"BULK without sessions", cat(TypeBulk, numbers(1, 42, 0)), errMissing},
		{"BULK of no sessions", cat(TypeBulk, numbers(1, 42, 0), field(2)), errMissing},
		{"BULK, a session cut", cat(TypeBulk, numbers(1, 42, 0), field(2, record[:35]...)), errLength},
		{"BULK, a byte more", cat(TypeBulk, numbers(1, 42, 0), field(2, append(record, 0)...)), errLength},
		{"BULK, too many", cat(TypeBulk, numbers(1, 42, 0), field(2, bytes.Repeat(record, MaxBulk+1)...)), errLength},

		{"END without a field", cat(TypeEnd), errMissing},
		{"END, short", cat(TypeEnd, numbers(1, 42, 1)), errLength},
		{"END 0", cat(TypeEnd, numbers(1, 0, 1, 1)), errMissing},
		{"END, more sessions than fit", cat(TypeEnd, numbers(1, 42, 2*MaxBulk+1, 2)), errRange},
		{"END, sessions in no BULK", cat(TypeEnd, numbers(1, 42, 1, 0)), errRange},
	} {
		m, err := Parse(c.in)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if m.Body != nil || m.Sender != 0 {
			t.Errorf("%s: %+v beside the error", c.name, m)
		}
		if newer := c.want == errVersion || c.want == errType; Unknown(err) != newer {
			t.Errorf("%s: Unknown(%v) = %v", c.name, err, !newer)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %q", c.name, err)
		}
	}
	if Unknown(nil) {
		t.Error("no error is an unknown message")
	}
}

// TestParseAccepts parses fields that a later version may send, and values at the edges of their ranges.
func TestParseAccepts(t *testing.T) {
	older := exampleSettings
	older.SSFlushDeadline, older.SSMaxPayload, older.Iterations, older.SSFlushASAP = 0, 0, 0, 0
	most := slices.Repeat([]uint32{1}, 2*MaxRanges)
	var ranges []Range
	for range MaxRanges {
		ranges = append(ranges, Range{1, 1})
	}
	for _, c := range []struct {
		name string
		in   []byte
		want Body
	}{
		{"HELLO without fields", cat(TypeHello), &Hello{}},
		{"HELLO, other bits", cat(TypeHello, field(1, 0xfc, 2)), &Hello{Sync: SyncAlone}},
		{"HELLO, longer fields", cat(TypeHello, field(1, 0xff, 1, 9, 9), field(2, 0, 0, 1, 0, 4, 1, 15, 0, 9), field(3, append(settingsWith(0), 9)...)),
			&Hello{Asks: true, Dropping: true, NextIn: 9, Sync: SyncYes, Sessions: 256, Module: 0x04010f00, Settings: exampleSettings}},
		{"HELLO, no pool6", cat(TypeHello, field(3, settingsWith(16, 0)...)), &Hello{Settings: func() Settings { s := exampleSettings; s.Pool6 = netip.Prefix{}; return s }()}},
		{"HELLO, an older one's settings", cat(TypeHello, field(3, settingsWith(0)[:45]...)), &Hello{Settings: older}},
		{"HELLO, an older one's settings behind newer ones", cat(TypeHello, field(3, settingsWith(0)...), field(3, settingsWith(0)[:45]...)), &Hello{Settings: older}},
		{"HELLO, settings between the two", cat(TypeHello, field(3, settingsWith(0)[:57]...)), &Hello{Settings: older}},
		{"HELLO, the longest name", cat(TypeHello, field(4, bytes.Repeat([]byte{'~'}, 32)...)), &Hello{Software: strings.Repeat("~", 32)}},
		{"HELLO, generation", cat(TypeHello, field(5, 0, 0, 1, 2, 9)), &Hello{Generation: 258}},
		{"HELLO, a mode without keys", cat(TypeHello, field(7, 0)), &Hello{Security: NewSecurity(SecurityOff)}},
		{"HELLO, four keys, one of them 0", cat(TypeHello, field(7, 3, 9, 0, 255, 1)), &Hello{Security: NewSecurity(SecurityRequire, 9, 0, 255, 1)}},
		{"HELLO, the last of two modes", cat(TypeHello, field(7, 3, 9, 8), field(7, 1, 7)), &Hello{Security: NewSecurity(SecurityAccept, 7)}},
		{"HELLO, dropping", cat(TypeHello, field(1, 2, 1, 7, 9)), &Hello{Dropping: true, Sync: SyncYes, NextIn: 7}},
		{"HELLO, the last of two", cat(TypeHello, field(1, 1, 1), field(1, 0, 2)), &Hello{Sync: SyncAlone}},
		{"unknown tags", cat(TypeSolicit, field(0), field(99, 1, 2, 3), numbers(1, 9), field(255, bytes.Repeat([]byte{1}, 900)...)), &Solicit{To: 9}},
		{"an unknown tag that looks like fields", cat(TypeSolicit, numbers(1, 9), field(9, numbers(1, 8)...)), &Solicit{To: 9}},
		{"SOLICIT, longer", cat(TypeSolicit, numbers(1, 9, 8)), &Solicit{To: 9}},
		{"NACK, fields turned", cat(TypeNack, numbers(2, 3, 4), numbers(1, 9, 5, 77)), &Nack{To: 9, FullSync: 5, Ranges: []Range{{3, 4}}}},
		{"NACK, 64 ranges", cat(TypeNack, numbers(1, 9, 0), numbers(2, most...)), &Nack{To: 9, Ranges: ranges}},
		{"NACK, the longest range", cat(TypeNack, numbers(1, 9, 0), numbers(2, 5, 5+1<<31-1)), &Nack{To: 9, Ranges: []Range{{5, 4 + 1<<31}}}},
		{"NACK, a range over the wrap", cat(TypeNack, numbers(1, 9, 0), numbers(2, 1<<32-2, 1)), &Nack{To: 9, Ranges: []Range{{1<<32 - 2, 1}}}},
		{"GONE, superseded of no bytes", cat(TypeGone, numbers(1, 9, 0), numbers(2, 1, 1), field(3)), &Gone{To: 9, Ranges: []Range{{1, 1}}}},
		{"GONE, other bits", cat(TypeGone, numbers(1, 9, 0), numbers(2, 1, 1), field(3, 0xfe, 1)), &Gone{To: 9, Ranges: []Range{{1, 1}}}},
		{"BEGIN, the least", cat(TypeBegin, numbers(1, 42, 0), field(4, settingsWith(0)...)), &Begin{FullSync: 42, Settings: exampleSettings}},
		{"BEGIN, longer", cat(TypeBegin, numbers(1, 42, 3, 9), field(2, 2, 9), numbers(3, 9), field(4, append(settingsWith(0), 9)...)),
			&Begin{FullSync: 42, Sessions: 3, Why: WhyAdvertise, Audience: []ID{9}, Settings: exampleSettings}},
		{"BEGIN, the fewest sessions in a BULK", cat(TypeBegin, numbers(1, 42, 0), field(4, settingsWith(0)...), field(6, 1, 9)), &Begin{FullSync: 42, Settings: exampleSettings, PerBulk: 1}},
		{"BEGIN, as many in a BULK as without the field", cat(TypeBegin, numbers(1, 42, 0), field(4, settingsWith(0)...), field(6, 39)), &Begin{FullSync: 42, Settings: exampleSettings, PerBulk: 39}},
		{"HELLO, nobody heard", cat(TypeHello, field(8)), &Hello{Heard: []Heard{}}},
		{"HELLO, heard", cat(TypeHello, field(8, 0, 0, 0, 9, 5, 0xac, 0, 0, 0, 0, 0, 0)), &Hello{Heard: []Heard{{9, 1452}, {}}}},
		{"HELLO, padded with anything", cat(TypeHello, field(9, 1, 2, 3)), &Hello{Padded: true, Padding: 3}},
		{"HELLO, padded with nothing", cat(TypeHello, field(9)), &Hello{Padded: true}},
		{"BULK, any index", cat(TypeBulk, numbers(1, 42, 1<<32-1), field(2, exampleRecord()...)), &Bulk{FullSync: 42, Index: 1<<32 - 1, Records: exampleRecord()}},
		{"END, nothing", cat(TypeEnd, numbers(1, 42, 0, 0)), &End{FullSync: 42}},
		{"END, doubtful", cat(TypeEnd, numbers(1, 42, 0, 0), field(2, 1)), &End{FullSync: 42, Doubtful: true}},
		{"END, full", cat(TypeEnd, numbers(1, 42, 2*MaxBulk, 2, 9)), &End{FullSync: 42, Sessions: 2 * MaxBulk, Bulks: 2}},
	} {
		m, err := Parse(c.in)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if diff := cmp.Diff(Message{0xdeadbeef, 7, c.want}, m, equal); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}
