package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/session"
	"joolctl/session/attr"
)

// parts parses a built message: command, and the attributes' types and payloads.
func parts(t *testing.T, r Requests, b []byte) (command byte, types []int, payloads [][]byte) {
	t.Helper()
	m, rest, err := ParseMessage(b)
	if err != nil || len(rest) > 0 || m.Type != r.Family || m.Header.Version != r.Version || m.Header.Instance != r.Instance {
		t.Fatalf("built %x: %+v, %d bytes left, %v", b, m, len(rest), err)
	}
	err = attr.Each(m.Attrs, func(typ int, p []byte) error {
		types, payloads = append(types, typ), append(payloads, p)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b[16], types, payloads
}

func TestNumbers(t *testing.T) {
	for _, tt := range []struct {
		version                                      string
		add, advertise, ack, offset, proto, entryLen int
	}{
		{"4.1.0", 27, 0, 29, 8, 11, 140},
		{"4.1.11", 27, 28, 29, 8, 11, 140},
		{"4.1.12", 27, 28, 29, 8, 11, 52},
		{"4.1.15", 27, 28, 29, 8, 11, 40},
		{"4.1.255.2", 31, 0, 33, 9, 12, 140},
		{"4.1.255.3", 31, 0, 33, 9, 12, 140},
		{"4.1.255.5", 31, 32, 33, 9, 12, 40},
		{"4.2.0", 31, 32, 33, 9, 12, 40},
	} {
		v, err := ParseVersion(tt.version)
		if err != nil {
			t.Fatal(err)
		}
		r := Requests{Family: 77, Version: v, Instance: "nat"}
		command := func(b []byte) int { c, _, _ := parts(t, r, b); return int(c) }
		for _, same := range []struct {
			b    []byte
			want int
		}{
			{r.Instances(nil, 1, nil), 0}, {r.Hello(nil, 1), 2}, {r.Stats(nil, 1), 7}, {r.Globals(nil, 1), 8}, {r.Ack(nil, 1), tt.ack},
		} {
			if got := command(same.b); got != same.want || len(same.b) != attrsAt {
				t.Errorf("%v: command %d of %d bytes, want %d", v, got, len(same.b), same.want)
			}
		}
		b, err := r.Advertise([]byte("before"), 1)
		if tt.advertise == 0 {
			if err == nil || string(b) != "before" {
				t.Errorf("%v: Advertise = %x, %v", v, b, err)
			}
		} else if err != nil || command(b[6:]) != tt.advertise {
			t.Errorf("%v: Advertise = %x, %v", v, b, err)
		}

		list := bytes.Repeat(mustAppend(t, v.Format(), sampleSession()), 3)
		b = append(r.AddHeader(nil, 1, len(list)), list...)
		got, types, payloads := parts(t, r, b)
		if int(got) != tt.add || !slices.Equal(types, []int{7}) || !bytes.Equal(payloads[0], list) || len(list) != 3*tt.entryLen || len(b) != AddHeaderLen+len(list) {
			t.Errorf("%v: AddHeader has command %d, attributes %v", v, got, types)
		}
		if b[attrsAt+3]&0x80 == 0 {
			t.Errorf("%v: the sessions lack the nested bit", v)
		}

		after := sampleSession()
		b, err = r.Sessions(nil, 1, session.TCP, &after)
		if err != nil {
			t.Fatal(err)
		}
		got, types, payloads = parts(t, r, b)
		if got != 25 || !slices.Equal(types, []int{tt.proto, tt.offset}) || !bytes.Equal(payloads[0], []byte{0}) || len(payloads[1]) != 128 {
			t.Errorf("%v: Sessions has command %d, attributes %v %x", v, got, types, payloads)
		}
	}
}

func TestSessionsRefuses(t *testing.T) {
	r := Requests{Family: 77, Version: 0x04010f00, Instance: "nat"}
	for _, p := range []session.Proto{3, 4, 255} {
		if b, err := r.Sessions([]byte("before"), 1, p, nil); !errors.Is(err, session.ErrProto) || string(b) != "before" {
			t.Errorf("protocol %d: Sessions = %x, %v", p, b, err)
		}
	}
	if b, err := r.Sessions([]byte("before"), 1, session.TCP, new(session.Session)); err == nil || string(b) != "before" {
		t.Errorf("behind no session: Sessions = %x, %v", b, err)
	}
}

// TestSessionsBehindUnsound checks that a page can begin after a session whose state and timer do not belong
// together, so that the following pages stay readable.
func TestSessionsBehindUnsound(t *testing.T) {
	r := Requests{Family: 77, Version: 0x04010f00, Instance: "nat"}
	sound := sampleSession()
	want, err := r.Sessions(nil, 1, session.UDP, &sound)
	if err != nil {
		t.Fatal(err)
	}
	unsound := sound
	unsound.State, unsound.Timer = session.V6Init, session.TimerSYN4
	got, err := r.Sessions(nil, 1, session.UDP, &unsound)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("Sessions = %x, %v; want %x", got, err, want)
	}
}

func TestInstanceName(t *testing.T) {
	for name, ok := range map[string]bool{
		"": false, "n": true, "nat": true, strings.Repeat("x", 15): true,
		strings.Repeat("x", 16): false, "na\x00t": false, "nat\x00": false, "n t": true,
	} {
		if err := CheckInstanceName(name); (err == nil) != ok {
			t.Errorf("CheckInstanceName(%q) = %v", name, err)
		}
		if !ok {
			continue
		}
		b := Requests{Family: 77, Version: 0x04010f00, Instance: name}.Ack(nil, 1)
		if n := binary.NativeEndian.Uint32(b); int(n) != len(b) || b[attrsAt-1] != 0 {
			t.Errorf("%q: %x", name, b)
		}
		if m, _, err := ParseMessage(b); err != nil || m.Header.Instance != name {
			t.Errorf("%q comes back as %q, %v", name, m.Header.Instance, err)
		}
	}
}

// TestUpdate checks that the request contains the changes, in a list of globals, and no other attribute.
func TestUpdate(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the bytes are a little-endian machine's")
	}
	for _, c := range []struct {
		changes []Change
		want    []byte
		reads   Globals // the settings that the module reads from the request
	}{
		{[]Change{{SSEnabled, 1}}, []byte{12, 0, 2, 0x80, 5, 0, 27, 0, 1, 0, 0, 0}, Globals{SSEnabled: true}},
		{[]Change{{SSFlushDeadline, 4}, {SSCapacity, 0x1234}},
			[]byte{20, 0, 2, 0x80, 8, 0, 29, 0, 4, 0, 0, 0, 8, 0, 30, 0, 0x34, 0x12, 0, 0},
			Globals{SSFlushDeadline: 4 * time.Millisecond, SSCapacity: 0x1234}},
	} {
		for _, v := range []Version{0x04010900, 0x04010f00, 0x04020000} {
			b := Requests{Family: 32, Version: v, Instance: "nat"}.Update(nil, 1, c.changes...)
			if b[16] != 9 || !bytes.Equal(b[attrsAt:], c.want) {
				t.Errorf("%v: command %d, attributes %x, want 9 and %x", v, b[16], b[attrsAt:], c.want)
			}
			if g, err := ParseGlobals(b[attrsAt+attr.HeaderLen:]); err != nil || g != c.reads {
				t.Errorf("%v: it asks for %+v, %v", v, g, err)
			}
		}
	}
}
