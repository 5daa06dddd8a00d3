package syncwire

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/session"
)

// equal compares the address types, whose fields are private, by ==.
var equal = cmpopts.EquateComparable(netip.Prefix{})

var exampleSettings = Settings{
	Pool6: netip.MustParsePrefix("64:ff9b::/96"),
	TTLs:  [4]uint32{7_200_000, 240_000, 300_000, 60_000}, SSCapacity: 512, SSMaxSessions: 36, Pool4: 0x01020304,
	SSFlushDeadline: 2000, SSMaxPayload: 1452, Iterations: 0x05060708, SSFlushASAP: SwitchOff,
}

// exampleVector has the component of a sender, and that of an origin that has been dead for a minute.
var exampleVector = []Component{
	{Origin: 0xdeadbeef, Known: true, Complete: Position{2, 7}, Highest: Position{2, 7}},
	{Origin: 0x0badf00d, Known: true, Complete: Position{1, 40}, Highest: Position{1, 42}, Age: 60},
}

// exampleRecord returns the record in docs/wire.md.
func exampleRecord() []byte {
	s := session.Session{
		Proto: session.TCP, State: session.Established, Timer: session.TimerEstablished,
		Src6: netip.MustParseAddrPort("[2001:db8::8]:1000"), Src4: netip.MustParseAddrPort("198.51.100.1:2000"),
		Dst4: netip.MustParseAddrPort("192.0.2.1:80"), Expires: 7_200_000_000_000,
	}
	r := s.Record()
	return r[:]
}

// examples returns the messages in docs/wire.md, by the names of their code blocks.
func examples() map[string]Message {
	const peer ID = 0x0badcafe
	bodies := map[string]Body{
		"hello": &Hello{Asks: true, Sync: SyncYes, NextIn: 10, Sessions: 300, Module: 0x04010f00, Settings: exampleSettings, Software: "joolctl",
			Generation: 2, Vector: exampleVector[1:], Security: NewSecurity(SecuritySend, 7, 3), Heard: []Heard{{peer, 1452}}},
		"solicit": &Solicit{To: peer},
		"nack":    &Nack{To: peer, Ranges: []Range{{0xffffffff, 1}, {5, 5}}},
		"gone":    &Gone{To: peer, Ranges: []Range{{2, 4}}, Superseded: true},
		"begin":   &Begin{FullSync: 42, Why: WhyAnswer, Audience: []ID{peer, 99}, Sessions: 1, Settings: exampleSettings, Vector: exampleVector, PerBulk: 33},
		"bulk":    &Bulk{FullSync: 42, Records: exampleRecord()},
		"end":     &End{FullSync: 42, Sessions: 1, Bulks: 1},
	}
	messages := make(map[string]Message)
	for name, b := range bodies {
		messages[name] = Message{Sender: 0xdeadbeef, Last: 7, Body: b}
	}
	return messages
}

// wireDoc returns the bytes in docs/wire.md, by the names of their code blocks.
func wireDoc(t testing.TB) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile("../docs/wire.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := make(map[string][]byte)
	for rest := string(text); ; {
		_, after, found := strings.Cut(rest, "```hex ")
		if !found {
			return blocks
		}
		name, after, _ := strings.Cut(after, "\n")
		block, after, _ := strings.Cut(after, "```")
		b, err := hex.DecodeString(strings.Join(strings.Fields(block), ""))
		if err != nil || blocks[name] != nil {
			t.Fatalf("docs/wire.md, %s: %v, or it comes twice", name, err)
		}
		blocks[name], rest = b, after
	}
}

// TestDocumentation compares the bytes in docs/wire.md with the code's.
func TestDocumentation(t *testing.T) {
	doc, want := wireDoc(t), examples()
	trailer := Trailer{Live, 0xdeadbeef, 7}
	if got := trailer.Append(nil); !bytes.Equal(got, doc["trailer"]) {
		t.Errorf("trailer\n got %x\nwant %x", got, doc["trailer"])
	}
	if got, ok := ParseTrailer(doc["trailer"]); !ok || got != trailer {
		t.Errorf("trailer %+v, %v", got, ok)
	}
	delete(doc, "trailer")
	delete(doc, "sealed") // the tests of package seal compare it
	if len(doc) != len(want) {
		t.Errorf("docs/wire.md has %d messages, want %d", len(doc), len(want))
	}
	for name, m := range want {
		if got := m.Append(nil); !bytes.Equal(got, doc[name]) {
			t.Errorf("%s\n got %x\nwant %x", name, got, doc[name])
		}
		got, err := Parse(doc[name])
		if diff := cmp.Diff(m, got, equal); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, diff)
		}
	}
}
