package syncwire

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fullVector returns as many components as fit a message, with the highest numbers.
func fullVector() []Component {
	const most = 1<<32 - 1
	var components []Component
	for i := range MaxComponents {
		components = append(components, Component{ID(most - i), true, Position{most, most}, Position{most, most}, most})
	}
	return components
}

func TestVectors(t *testing.T) {
	for name, want := range map[string][]Component{
		"none":              nil,
		"example":           exampleVector,
		"unknown":           {{Origin: 1, Highest: Position{2, 3}, Age: 4}},
		"known, and empty":  {{Origin: 1, Known: true}},
		"wrapped":           {{Origin: 1<<32 - 1, Known: true, Complete: Position{1, 1<<32 - 1}, Highest: Position{1, 2}}},
		"in no order":       {{Origin: 9}, {Origin: 1}, {Origin: 5}},
		"as many as it can": fullVector(),
	} {
		for _, body := range []Body{
			&Hello{Settings: exampleSettings, Vector: want},
			&Begin{FullSync: 42, Settings: exampleSettings, Vector: want},
		} {
			m := Message{1, 2, body}
			got, err := Parse(m.Append(nil))
			if diff := cmp.Diff(m, got, equal); err != nil || diff != "" {
				t.Errorf("%s in %v: %v (-want +got):\n%s", name, body.messageType(), err, diff)
			}
		}
	}
}

// TestVectorsFit encodes the longest HELLO and the longest BEGIN. Components beyond MaxComponents are left out.
func TestVectorsFit(t *testing.T) {
	more := append(fullVector(), Component{Origin: 1})
	for _, body := range []Body{
		&Hello{Asks: true, Settings: exampleSettings, Software: strings.Repeat("x", 32), Vector: more},
		&Begin{FullSync: 42, Audience: slices.Repeat([]ID{9}, MaxAudience), Settings: exampleSettings, Vector: more},
	} {
		b := Message{1, 2, body}.Append(nil)
		if len(b) > MaxMessage {
			t.Errorf("%v: %d bytes", body.messageType(), len(b))
		}
		m, err := Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		var got []Component
		switch body := m.Body.(type) {
		case *Hello:
			got = body.Vector
		case *Begin:
			got = body.Vector
		}
		if diff := cmp.Diff(fullVector(), got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", body.messageType(), diff)
		}
	}
}

func TestVectorsRefused(t *testing.T) {
	full := appendVector(nil, 6, fullVector())[3:]
	good := appendVector(nil, 6, exampleVector)[3:]
	change := func(at int, b byte) []byte { v := slices.Clone(good); v[at] = b; return v }
	unknown := func(at int) []byte { // a component of which two bytes are 1, the others 0
		v := make([]byte, componentLen)
		v[3], v[at] = 1, 1
		return v
	}
	for _, c := range []struct {
		name  string
		value []byte
		want  error
	}{
		{"a byte", []byte{1}, errLength},
		{"a byte short", good[:len(good)-1], errLength},
		{"a byte more", append(slices.Clone(good), 0), errLength},
		{"one too many", append(slices.Clone(full), unknown(3)...), errLength},
		{"origin 0", make([]byte, componentLen), errRange},
		{"the second origin 0", append(slices.Clone(good), make([]byte, componentLen)...), errRange},
		{"an origin twice", append(slices.Clone(good), good[:componentLen]...), errRange},
		{"a complete generation, and not known", unknown(8), errRange},
		{"a complete number, and not known", unknown(12), errRange},
		{"none", nil, nil},
		{"as many as it can", full, nil},
		{"other flags", change(4, 0xff), nil},
		{"the highest generation, and not known", unknown(16), nil},
		{"the highest number, and not known", unknown(20), nil},
	} {
		for _, b := range [][]byte{
			cat(TypeHello, field(6, c.value...)),
			cat(TypeBegin, numbers(1, 42, 1), field(4, settingsWith(0)...), field(5, c.value...)),
		} {
			before := slices.Clone(b)
			if _, err := Parse(b); !errors.Is(err, c.want) || !bytes.Equal(b, before) {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	}
	twice := cat(TypeHello, field(6, good...), field(6, good...))
	if _, err := Parse(twice); !errors.Is(err, errLength) {
		t.Errorf("two vectors: %v", err)
	}
	if m, err := Parse(cat(TypeHello, field(6))); err != nil || m.Body.(*Hello).Vector != nil {
		t.Errorf("an empty one: %+v, %v", m, err)
	}
}

func TestPosition(t *testing.T) {
	const most, wrap = 1<<32 - 1, Seq(1<<32 - 1)
	for _, c := range []struct {
		p, q, max Position
		covers    bool
	}{
		{Position{}, Position{}, Position{}, true},
		{Position{1, 5}, Position{1, 5}, Position{1, 5}, true},
		{Position{2, 6}, Position{1, 5}, Position{2, 6}, true},
		{Position{1, 6}, Position{2, 5}, Position{2, 6}, false},
		{Position{2, 5}, Position{1, 6}, Position{2, 6}, false},
		{Position{1, 2}, Position{1, wrap}, Position{1, 2}, true},
		{Position{1, wrap}, Position{1, 2}, Position{1, 2}, false},
		{Position{most, 1}, Position{0, 1}, Position{most, 1}, true}, // generations do not wrap
	} {
		if got := c.p.Covers(c.q); got != c.covers {
			t.Errorf("%v covers %v: %v", c.p, c.q, got)
		}
		if got := c.p.Max(c.q); got != c.max || c.q.Max(c.p) != c.max {
			t.Errorf("of %v and %v the later is %v", c.p, c.q, got)
		}
	}
}

// boundedVector checks the bounds that callers of Parse rely on.
func boundedVector(t *testing.T, vector []Component) {
	t.Helper()
	if len(vector) > MaxComponents {
		t.Errorf("%d components", len(vector))
	}
	origins := make(map[ID]bool)
	for _, c := range vector {
		if c.Origin == 0 || origins[c.Origin] || !c.Known && c.Complete != (Position{}) {
			t.Errorf("%+v", c)
		}
		origins[c.Origin] = true
	}
}
