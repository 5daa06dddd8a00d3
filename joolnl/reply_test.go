package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/session/attr"
)

// netlinkMessage returns a netlink message of a type with a body and without padding.
func netlinkMessage(typ uint16, seq uint32, body ...byte) []byte {
	b := binary.NativeEndian.AppendUint32(nil, uint32(unix.NLMSG_HDRLEN+len(body)))
	b = binary.NativeEndian.AppendUint16(b, typ)
	b = binary.NativeEndian.AppendUint16(b, 0)
	b = binary.NativeEndian.AppendUint32(b, seq)
	b = binary.NativeEndian.AppendUint32(b, 0)
	return append(b, body...)
}

// joolMessage returns a message from the kernel in family 32.
func joolMessage(flags uint8, attrs ...byte) []byte {
	body := Header{Version: 0x04010f00, Flags: flags, Instance: "nat"}.append([]byte{0, 2, 0, 0})
	return netlinkMessage(32, 7, append(body, attrs...)...)
}

func native32(n int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(n)) }

func TestParseMessage(t *testing.T) {
	header := Header{Version: 0x04010f00, Instance: "nat"}
	code := attr.Append(nil, 1, binary.NativeEndian.AppendUint16(nil, 22)...)
	for _, tt := range []struct {
		name string
		b    []byte
		want Message
		err  error
	}{
		{"acknowledged", netlinkMessage(unix.NLMSG_ERROR, 7, native32(0)...), Message{Type: unix.NLMSG_ERROR, Seq: 7}, nil},
		{"no family", netlinkMessage(unix.NLMSG_ERROR, 7, native32(-2)...), Message{Type: unix.NLMSG_ERROR, Seq: 7}, &Error{Code: unix.ENOENT}},
		{"done", netlinkMessage(unix.NLMSG_DONE, 7, native32(0)...), Message{Type: unix.NLMSG_DONE, Seq: 7}, nil},
		{"without attributes", joolMessage(0), Message{Type: 32, Seq: 7, Header: header, Attrs: []byte{}}, nil},
		{"with attributes", joolMessage(0, 1, 2, 3), Message{Type: 32, Seq: 7, Header: header, Attrs: []byte{1, 2, 3}}, nil},
		{"a report without a text", joolMessage(flagError, code...), Message{Type: 32, Seq: 7, Header: Header{Version: header.Version, Flags: flagError, Instance: "nat"}, Attrs: code}, &Error{Code: unix.EINVAL, Text: "invalid argument"}},
	} {
		for _, behind := range []string{"", "next"} {
			b := bytes.Clone(tt.b)
			for len(behind) > 0 && len(b)%4 != 0 {
				b = append(b, 0)
			}
			m, rest, err := ParseMessage(append(b, behind...))
			if diff := cmp.Diff(tt.want, m); diff != "" || string(rest) != behind {
				t.Errorf("%s: rest %q (-want +got):\n%s", tt.name, rest, diff)
			}
			if diff := cmp.Diff(tt.err, err); diff != "" {
				t.Errorf("%s: error (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

func TestParseMessageRefuses(t *testing.T) {
	change := func(at int, with ...byte) []byte {
		b := joolMessage(0)
		copy(b[at:], with)
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":              nil,
		"a cut nlmsghdr":       joolMessage(0)[:15],
		"a cut message":        joolMessage(0)[:attrsAt-1],
		"a length of 15":       append(native32(15), joolMessage(0)[4:]...),
		"a length of 2^32-1":   append(native32(-1), joolMessage(0)[4:]...),
		"an empty error":       netlinkMessage(unix.NLMSG_ERROR, 7),
		"no genlmsghdr":        netlinkMessage(32, 7, 1, 2, 3),
		"no header of Jool's":  netlinkMessage(32, 7, 0, 2, 0, 0),
		"another magic":        change(nlHeaderLen, 'J'),
		"a name without a NUL": change(inameAt, bytes.Repeat([]byte{'x'}, inameLen)...),
		"a report cut short":   joolMessage(flagError, 200, 0, 1, 0),
	} {
		if m, _, err := ParseMessage(b); err == nil {
			t.Errorf("%s: ParseMessage = %+v", name, m)
		}
	}
}

func TestParseHeaderGarbage(t *testing.T) {
	b := joolMessage(0)[nlHeaderLen:]
	copy(b[12+4:], "garbage here")
	h, _, err := ParseHeader(b)
	if want := (Header{Version: 0x04010f00, Instance: "nat"}); err != nil || h != want {
		t.Errorf("ParseHeader = %+v, %v", h, err)
	}
}

func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  Error
		want string
	}{
		{Error{Code: unix.ENOENT}, "no such file"},
		{Error{Code: unix.EINVAL, Text: "Session sync is disabled."}, "Session sync is disabled. (error 22)"},
	} {
		if got := tt.err.Error(); !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%+v prints %q", tt.err, got)
		}
		if !errors.Is(&tt.err, tt.err.Code) || !errors.Is(&tt.err, syscall.Errno(tt.err.Code)) {
			t.Errorf("%+v is not its errno", tt.err)
		}
	}
}

func TestSessionEntries(t *testing.T) {
	entry := mustAppend(t, session.Packed40, sampleSession())
	for _, typ := range []int{attrSessionEntries, attrSessionEntries | attr.Nested} {
		if got := SessionEntries(attr.Append(nil, typ, entry...)); !bytes.Equal(got, entry) {
			t.Errorf("type %#x: %x", typ, got)
		}
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "three bytes": {4, 0, 7}, "another": attr.Append(nil, 8, entry...),
		"cut": attr.Append(nil, attrSessionEntries, entry...)[:20], "a length of 3": attr.AppendHeader(nil, 3, attrSessionEntries),
		"empty": attr.AppendHeader(nil, 4, attrSessionEntries),
	} {
		if got := SessionEntries(b); len(got) > 0 {
			t.Errorf("%s: %x", name, got)
		}
	}
}

func TestParseHello(t *testing.T) {
	for _, b := range [][]byte{nil, attr.Append(nil, 2, 0), attr.Append(nil, 1), {9, 0, 1, 0}} {
		if alive, err := ParseHello(b); err == nil {
			t.Errorf("ParseHello(%x) = %v", b, alive)
		}
	}
}

func TestParseSessions(t *testing.T) {
	first := []session.Session{icmpSession()}
	sound := mustAppend(t, session.Nested, sampleSession())
	page := func(flags uint8, attrs ...[]byte) Message {
		return Message{Header: Header{Flags: flags}, Attrs: slices.Concat(attrs...)}
	}
	got, more, err := ParseSessions(first, page(flagMore, sound, sound))
	if diff := cmp.Diff([]session.Session{icmpSession(), sampleSession(), sampleSession()}, got, equal); diff != "" || !more || err != nil {
		t.Errorf("more %v, %v (-want +got):\n%s", more, err, diff)
	}
	if got, more, err := ParseSessions(first, page(0)); len(got) != 1 || more || err != nil {
		t.Errorf("an empty page: %v, %v, %v", got, more, err)
	}
	unsound := bytes.Clone(sound)
	setKind(session.Nested, unsound, session.UDP, session.V6Init, session.TimerTransitory)
	got, _, err = ParseSessions(nil, page(0, unsound, sound))
	if err != nil || len(got) != 2 || got[0].State != session.V6Init {
		t.Errorf("with an unsound session: %v, %v", got, err)
	}
	if _, err := session.Nested.Append(nil, got[0]); !errors.Is(err, session.ErrStateTimer) {
		t.Errorf("writing the unsound session: %v", err)
	}
	for _, m := range []Message{page(0, sound, sound[:100]), page(0, mustAppend(t, session.Packed40, sampleSession())), page(flagMore, sound, []byte{0, 0, 0, 0})} {
		if got, more, err := ParseSessions(first, m); err == nil || more {
			t.Errorf("ParseSessions = %v, %v", got, more)
		}
	}
}

// TestParseGlobalsNext parses a setting of 4.2.0-rc1 whose number later became that of another setting.
func TestParseGlobalsNext(t *testing.T) {
	b := append(attr.Append(nil, 27, 1), attr.Append(nil, 32, 3)...)
	got, err := ParseGlobals(append(b, attr.Append(nil, 2)...))
	if diff := cmp.Diff(Globals{SSEnabled: true}, got, equal); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}

func TestParseInstances(t *testing.T) {
	entry := slices.Concat(attr.Append(nil, 1, native32(5)...), attr.Append(nil, 2, 8), attr.Append(nil, 3, []byte("blue\x00")...))
	got, err := ParseInstances(attr.Append(nil, attr.ListEntry|attr.Nested, entry...))
	if diff := cmp.Diff([]Instance{{5, "blue", true}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	if got, err := ParseInstances(nil); got != nil || err != nil {
		t.Errorf("no instances: %v, %v", got, err)
	}
}
