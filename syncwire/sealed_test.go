package syncwire

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"

	"joolctl/session"
)

// sealedOverhead is the number of bytes that a sealed datagram is longer than its content.
const sealedOverhead = 28 + 16

// exampleList returns a live datagram with n sessions in a format.
func exampleList(t testing.TB, f session.Format, n int) []byte {
	t.Helper()
	r := session.Record(exampleRecord())
	var list []byte
	for range n {
		var err error
		if list, err = f.AppendRecord(list, &r, netip.MustParsePrefix("64:ff9b::/96")); err != nil {
			t.Fatal(err)
		}
	}
	return Trailer{Live, 0xdeadbeef, 7}.Append(list)
}

// TestSealed encodes datagrams as contents of sealed ones, and decodes them again.
func TestSealed(t *testing.T) {
	want := exampleList(t, session.Packed40, 10)
	for _, f := range []session.Format{session.Nested, session.Packed52, session.Packed40} {
		content := AppendSealed(nil, exampleList(t, f, 10), f)
		got, err := AppendOpened([]byte("before"), content)
		if err != nil || !bytes.Equal(got[len("before"):], want) {
			t.Errorf("%v: %v\n got %x\nwant %x", f, err, got, want)
		}
	}
	messages := examples()
	messages["full bulk"] = Message{Sender: 1, Last: 2, Body: &Bulk{FullSync: 3, Index: 4, Records: slices.Repeat(exampleRecord(), MaxBulk)}}
	for name, m := range messages {
		clear := m.Append(nil)
		content := AppendSealed(nil, clear, session.Packed40)
		got, err := AppendOpened(nil, content)
		if err != nil || !bytes.Equal(got, clear) {
			t.Errorf("%s: %v\n got %x\nwant %x", name, err, got, clear)
		}
		if bulk := m.Body.messageType() == TypeBulk; bulk != (content[0] == sealedBulk) {
			t.Errorf("%s: content of kind %d", name, content[0])
		}
	}
	for name, clear := range map[string][]byte{"list": exampleList(t, session.Packed40, 36), "bulk": messages["full bulk"].Append(nil)} {
		if n := len(AppendSealed(nil, clear, session.Packed40)) + sealedOverhead; n > MaxMessage {
			t.Errorf("a full %s is sealed in %d bytes, more than the %d of a frame", name, n, MaxMessage)
		}
	}
}

func TestSealedMalformed(t *testing.T) {
	list := AppendSealed(nil, exampleList(t, session.Packed40, 2), session.Packed40)
	bulk := AppendSealed(nil, examples()["bulk"].Append(nil), session.Packed40)
	reserved := bytes.Clone(list)
	reserved[len(reserved)-1] = 0xff
	for name, c := range map[string]struct {
		content []byte
		want    error
	}{
		"empty":                      {nil, ErrMalformed},
		"of a newer kind":            {[]byte{4, 1, 2}, ErrNotUnderstood},
		"a greeting":                 {[]byte{0, 1, 2}, ErrNotUnderstood},
		"a list without sessions":    {list[:1+TrailerLen], ErrMalformed},
		"a list that ends too early": {list[:len(list)-1], ErrMalformed},
		"a list of one byte":         {list[:1], ErrMalformed},
		"a list without a trailer":   {append([]byte{sealedList, 1, 1}, list[3:]...), ErrMalformed},
		"an impossible session":      {reserved, ErrMalformed},
		"a BULK without sessions":    {bulk[:sealedBulkLen], ErrMalformed},
		"a BULK of one byte":         {bulk[:1], ErrMalformed},
		"too many sessions":          {append(bytes.Clone(bulk), make([]byte, MaxBulk*session.ShortLen)...), ErrMalformed},
		"a list as a message":        {append([]byte{sealedMessage}, exampleList(t, session.Packed40, 1)...), ErrMalformed},
		"no message":                 {[]byte{sealedMessage}, ErrMalformed},
	} {
		if _, err := AppendOpened(nil, c.content); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

func TestSealedNoAllocations(t *testing.T) {
	memory, opened := make([]byte, 0, 2048), make([]byte, 0, 2048)
	for name, clear := range map[string][]byte{
		"list": exampleList(t, session.Packed40, 36), "list of another format": exampleList(t, session.Nested, 10), "bulk": examples()["bulk"].Append(nil),
	} {
		f := session.Packed40
		if name == "list of another format" {
			f = session.Nested
		}
		if n := testing.AllocsPerRun(100, func() {
			memory = AppendSealed(memory[:0], clear, f)
			if _, err := AppendOpened(opened[:0], memory); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

// FuzzOpened decodes arbitrary content. Content that AppendOpened accepts is the same after decoding and
// encoding.
func FuzzOpened(f *testing.F) {
	f.Add(AppendSealed(nil, exampleList(f, session.Packed40, 2), session.Packed40))
	for _, m := range examples() {
		f.Add(AppendSealed(nil, m.Append(nil), session.Packed40))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		clear, err := AppendOpened(nil, content)
		if err != nil {
			return
		}
		again := AppendSealed(nil, clear, session.Packed40)
		if !bytes.Equal(again, content) && !isPlainBulk(clear) {
			t.Errorf("%x becomes %x, then %x", content, clear, again)
		}
		if twice, err := AppendOpened(nil, again); err != nil || !bytes.Equal(twice, clear) {
			t.Errorf("%x becomes %x, then %x, %v", content, clear, twice, err)
		}
	})
}
