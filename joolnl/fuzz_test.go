package joolnl

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/session/attr"
)

// seedMessages adds the bytes of every captured message, from offset at on, to a target's seeds.
func seedMessages(f *testing.F, at int) {
	for _, v := range captures {
		for _, name := range []string{"netlink-J.txt", "netlink-K.txt"} {
			for _, c := range readCapture(f, v, name) {
				f.Add(c.bytes[at:])
			}
		}
	}
}

func FuzzParseMessage(f *testing.F) {
	seedMessages(f, 0)
	f.Add(netlinkMessage(unix.NLMSG_ERROR, 7, native32(-2)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := ParseMessage(b)
		if len(rest) > max(0, len(b)-unix.NLMSG_HDRLEN) || len(m.Attrs) > len(b) {
			t.Fatalf("%d bytes left and %d of attributes, of %d", len(rest), len(m.Attrs), len(b))
		}
		var refused *Error
		if errors.As(err, &refused) && refused.Error() == "" {
			t.Error("an error without a text")
		}
		if err == nil && m.Type >= unix.NLMSG_MIN_TYPE {
			compareFast(t, b, m, rest)
		}
		parseAll(t, m)
	})
}

func compareFast(t *testing.T, b []byte, m Message, rest []byte) {
	t.Helper()
	fast, fastRest, err := ParseMulticast(b)
	if err != nil || fast.Type != m.Type || fast.Header.Version != m.Header.Version || fast.Header.Flags != m.Header.Flags ||
		!bytes.Equal(fast.Attrs, m.Attrs) || !bytes.Equal(fastRest, rest) {
		t.Errorf("ParseMulticast = %+v, %x, %v; ParseMessage = %+v, %x", fast, fastRest, err, m, rest)
	}
}

// parseAll runs the parsers of all replies. None may panic or read beyond the bytes.
func parseAll(t *testing.T, m Message) {
	t.Helper()
	_, _ = ParseHello(m.Attrs)
	_, _ = ParseGlobals(m.Attrs)
	if list, _ := ParseInstances(m.Attrs); len(list)*attr.HeaderLen > len(m.Attrs) {
		t.Errorf("%d instances in %d bytes", len(list), len(m.Attrs))
	}
	for _, v := range []Version{0x04010900, 0x04010c00, 0x04010f00, 0x04020000} {
		if stats, err := v.ParseStats(m.Attrs); err == nil && len(stats.Named())*12 > len(m.Attrs) {
			t.Errorf("Jool %v: %d counters in %d bytes", v, len(stats.Named()), len(m.Attrs))
		}
	}
	if entries := SessionEntries(m.Attrs); len(entries) > len(m.Attrs) {
		t.Errorf("%d bytes of sessions in %d", len(entries), len(m.Attrs))
	}
	sessions, _, err := ParseSessions(nil, m)
	if len(sessions)*session.Nested.EntryLen() > len(m.Attrs) {
		t.Errorf("%d sessions in %d bytes, %v", len(sessions), len(m.Attrs), err)
	}
	r := Requests{Family: 32, Version: 0x04010f00, Instance: "nat"}
	for _, s := range sessions { // the next page can begin after any of them
		if _, err := r.Sessions(nil, 1, session.TCP, &s); err != nil {
			t.Errorf("behind %+v: %v", s, err)
		}
	}
}

func FuzzParseMulticast(f *testing.F) {
	seedMessages(f, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, rest, err := ParseMulticast(b)
		if err == nil && attrsAt+len(m.Attrs)+len(rest) > len(b) {
			t.Errorf("%d bytes of attributes and %d left, of %d", len(m.Attrs), len(rest), len(b))
		}
		parseAll(t, m)
	})
}

func FuzzParseHeader(f *testing.F) {
	seedMessages(f, nlHeaderLen)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, attrs, err := ParseHeader(b)
		if err != nil {
			return
		}
		if len(attrs) != len(b)-headerLen || len(h.Instance) > MaxInstanceName {
			t.Fatalf("%+v with %d bytes of attributes, of %d", h, len(attrs), len(b))
		}
		again, _, err := ParseHeader(h.append(nil))
		if err != nil || again != h {
			t.Errorf("%+v comes back as %+v, %v", h, again, err)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"4.1.15.0\n", "4.1", "4.1.255.2", "256.0", "0.0.0.0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q is %v, which comes back as %v, %v", s, v, again, err)
		}
		if v.Format().EntryLen() == 0 {
			t.Errorf("%v has no format", v)
		}
	})
}
