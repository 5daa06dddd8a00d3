package joolnl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"joolctl/session"
	"joolctl/session/attr"
)

// forEachCapture runs fn for each captured version.
func forEachCapture(t *testing.T, fn func(t *testing.T, v Version)) {
	for _, v := range captures {
		t.Run(v.String(), func(t *testing.T) { fn(t, v) })
	}
}

// TestRequestVectors builds every captured request again and compares the bytes.
func TestRequestVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		var last *session.Session // the last session of the previous page
		for _, name := range []string{"netlink-J.txt", "netlink-K.txt"} {
			for i, c := range readCapture(t, v, name) {
				m, rest, err := ParseMessage(c.bytes)
				if !c.toKernel {
					last = lastSession(m)
					continue
				}
				if err != nil || len(rest) > 0 {
					t.Fatalf("%s, message %d: %d bytes left, %v", name, i, len(rest), err)
				}
				r := Requests{Family: m.Type, Version: m.Header.Version, Instance: m.Header.Instance}
				if r.Version != v {
					t.Errorf("%s, message %d: version %v", name, i, r.Version)
				}
				got, err := rebuild(r, c.op, m, last)
				if err != nil {
					t.Errorf("%s, message %d, %s: %v", name, i, c.op, err)
				}
				if got == nil {
					continue
				}
				copy(got[12:16], c.bytes[12:16]) // the sender's netlink port
				if !bytes.Equal(got, c.bytes) {
					t.Errorf("%s, message %d, %s:\n got %x\nwant %x", name, i, c.op, got, c.bytes)
				}
			}
		}
	})
}

func lastSession(m Message) *session.Session {
	sessions, more, err := ParseSessions(nil, m)
	if err != nil || !more {
		return nil
	}
	return &sessions[len(sessions)-1]
}

func rebuild(r Requests, op string, m Message, last *session.Session) ([]byte, error) {
	switch op {
	case "INSTANCE_FOREACH":
		return r.Instances(nil, m.Seq, nil), nil
	case "INSTANCE_HELLO":
		return r.Hello(nil, m.Seq), nil
	case "STATS_FOREACH":
		return r.Stats(nil, m.Seq), nil
	case "GLOBAL_FOREACH":
		return r.Globals(nil, m.Seq), nil
	case "SESSION_FOREACH":
		return r.Sessions(nil, m.Seq, session.Proto(m.Attrs[attr.HeaderLen]), last)
	case "JOOLD_ADD":
		entries := SessionEntries(m.Attrs)
		return append(r.AddHeader(nil, m.Seq, len(entries)), entries...), nil
	case "JOOLD_ACK":
		return r.Ack(nil, m.Seq), nil
	case "JOOLD_ADVERTISE":
		if !r.Version.HasAdvertise() {
			_, err := r.Advertise(nil, m.Seq)
			if err == nil {
				err = errors.New("an advertise that sends nothing was built")
			} else {
				err = nil
			}
			return nil, err
		}
		return r.Advertise(nil, m.Seq)
	case "GLOBAL_UPDATE": // not compared
		return nil, nil
	}
	return nil, errors.New("an operation that the test does not know")
}

// TestKernelVectors parses every captured message from the kernel.
func TestKernelVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		for i, c := range readCapture(t, v, "netlink-J.txt") {
			if c.toKernel {
				continue
			}
			m, rest, err := ParseMessage(c.bytes)
			var refused *Error
			if errors.As(err, &refused) {
				err = nil
			}
			if err != nil || len(rest) > 0 {
				t.Errorf("message %d: %d bytes left, %v", i, len(rest), err)
				continue
			}
			if len(m.Attrs) != len(c.bytes)-attrsAt || m.Type != 32 {
				t.Errorf("message %d: type %d, %d bytes of attributes of %d", i, m.Type, len(m.Attrs), len(c.bytes))
			}
			// The bytes behind the name's NUL are arbitrary.
			header := c.bytes[nlHeaderLen : inameAt+len(m.Header.Instance)+1]
			if got := m.Header.append(nil); !bytes.HasPrefix(got, header) {
				t.Errorf("message %d: header\n got %x\nwant %x", i, got, header)
			}
			if m.Header.Version != v {
				t.Errorf("message %d: version %v", i, m.Header.Version)
			}
			if c.op == "MULTICAST" {
				checkMulticast(t, v, m, c.bytes)
			}
		}
	})
}

// checkMulticast decodes the sessions of a multicast and encodes them again.
func checkMulticast(t *testing.T, v Version, m Message, raw []byte) {
	t.Helper()
	if m.Seq != 0 || m.Header.Instance != "nat" {
		t.Errorf("multicast of %q, sequence number %d", m.Header.Instance, m.Seq)
	}
	checkEntries(t, v.Format(), SessionEntries(m.Attrs))
	fast, rest, err := ParseMulticast(raw)
	if err != nil || len(rest) > 0 {
		t.Errorf("ParseMulticast: %d bytes left, %v", len(rest), err)
	}
	want := m
	want.Header.Instance = ""
	if diff := cmp.Diff(want, fast); diff != "" {
		t.Errorf("ParseMulticast differs from ParseMessage (-want +got):\n%s", diff)
	}
}

func checkEntries(t *testing.T, f session.Format, list []byte) {
	t.Helper()
	if len(list) == 0 {
		t.Error("a list without sessions")
		return
	}
	if got := session.ListFormat(list); got != f {
		t.Errorf("ListFormat = %v, want %v", got, f)
	}
	var again []byte
	for i, entry := range entriesOf(t, f, list) {
		if err := f.Check(entry); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		s, err := f.Decode(entry, capturePool6)
		if err != nil {
			t.Errorf("entry %d: %v", i, err)
			continue
		}
		if again, err = f.Append(again, s); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
	if !bytes.Equal(again, list) {
		t.Errorf("sessions\n got %x\nwant %x", again, list)
	}
}

// TestDatagramVectors compares the sessions that the kernel of J reported with the captured datagrams, and with
// the sessions that the kernel of K got.
func TestDatagramVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		sent := entryLists(t, v, "netlink-J.txt", "MULTICAST")
		received := entryLists(t, v, "netlink-K.txt", "JOOLD_ADD")
		if diff := cmp.Diff(sent, received); diff != "" {
			t.Errorf("J's multicasts and what K's kernel was given (-sent +given):\n%s", diff)
		}
		at := 0 // the capture of 4.1.9 lacks one datagram
		for i, d := range readDatagrams(t, v) {
			checkEntries(t, v.Format(), d)
			for at < len(sent) && !bytes.Equal(d, sent[at]) {
				at++
			}
			if at == len(sent) {
				t.Fatalf("datagram %d is no multicast's sessions, or out of order", i)
			}
			at++
		}
	})
}

func entryLists(t *testing.T, v Version, name, op string) [][]byte {
	t.Helper()
	var lists [][]byte
	for _, c := range readCapture(t, v, name) {
		if c.op != op {
			continue
		}
		m, _, err := ParseMessage(c.bytes)
		if err != nil {
			t.Fatal(err)
		}
		lists = append(lists, SessionEntries(m.Attrs))
	}
	return lists
}

func TestErrorVectors(t *testing.T) {
	want := []Error{
		{unix.ESRCH, "This namespace lacks an instance named 'nope'."},
		{unix.EINVAL, "Session sync is disabled on this instance."},
	}
	forEachCapture(t, func(t *testing.T, v Version) {
		var got []Error
		for _, x := range exchanges(t, v, "JOOLD_ADVERTISE") {
			var refused *Error
			if !errors.As(x.refusal, &refused) {
				continue
			}
			got = append(got, *refused)
			if !errors.Is(x.refusal, refused.Code) {
				t.Errorf("%v is not %v", x.refusal, refused.Code)
			}
			if seq := binary.NativeEndian.Uint32(x.request.bytes[8:]); x.replies[0].Seq != seq {
				t.Errorf("the refusal of request %d has sequence number %d", seq, x.replies[0].Seq)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("refusals (-want +got):\n%s", diff)
		}
	})
}
