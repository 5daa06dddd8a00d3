package seal

import (
	"bytes"
	"testing"
)

func TestGreeting(t *testing.T) {
	a, b, c := Run{1}, Run{2}, Run{3}
	content := appendGreeting([]byte{}, 7, a, []named{{b, true, false}, {c, false, true}})
	for name, content := range map[string][]byte{"as sent": content, "of a later version": append(bytes.Clone(content), 1, 2, 3)} {
		g, ok := parseGreeting(content)
		if !ok || g.nextKey != 7 || g.next != a {
			t.Errorf("%s: %+v, %v", name, g, ok)
		}
		for _, want := range []named{{b, true, false}, {c, false, true}} {
			if got, ok := g.find(&want.run); got != want || !ok {
				t.Errorf("%s: %+v, %v, want %+v", name, got, ok, want)
			}
		}
		if _, ok := g.find(&a); ok {
			t.Errorf("%s: it names another run", name)
		}
	}
	for n := range content {
		if _, ok := parseGreeting(content[:n]); ok {
			t.Errorf("%d bytes are a greeting", n)
		}
	}
	many := appendGreeting(nil, 0, a, make([]named, maxNamed+1))
	if _, ok := parseGreeting(many); ok {
		t.Error("a greeting names more runs than allowed")
	}
	if _, ok := parseGreeting(append([]byte{1}, content[1:]...)); ok {
		t.Error("another kind of content is a greeting")
	}
	if n := len(appendGreeting(nil, 0, a, make([]named, maxNamed))) + Overhead; n > 1232 {
		t.Errorf("the longest greeting has %d bytes, more than the smallest MTU of IPv6 lets through", n)
	}
}

func FuzzGreeting(f *testing.F) {
	f.Add(appendGreeting(nil, 0, Run{}, nil))
	f.Add(appendGreeting(nil, 255, Run{1}, []named{{Run{2}, true, false}, {Run{3}, false, true}}))
	f.Add(appendGreeting(nil, 1, Run{1}, make([]named, maxNamed+1)))
	f.Add([]byte{KindGreeting})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, ok := parseGreeting(b)
		if !ok {
			return
		}
		var runs []named
		for rest := g.runs; len(rest) > 0; rest = rest[namedLen:] {
			run := Run(rest[1:namedLen])
			if _, ok := g.find(&run); !ok {
				t.Errorf("%x: run %x is not named", b, run)
			}
			runs = append(runs, named{run, rest[0]&flagAccepted != 0, rest[0]&flagKnown != 0})
		}
		again, ok := parseGreeting(appendGreeting(nil, g.nextKey, g.next, runs))
		if !ok || again.nextKey != g.nextKey || again.next != g.next || len(again.runs) != len(g.runs) {
			t.Errorf("%x: %+v, then %+v", b, g, again)
		}
		for _, r := range runs {
			was, _ := g.find(&r.run)
			if is, ok := again.find(&r.run); is != was || !ok {
				t.Errorf("%x: %+v, then %+v", b, was, is)
			}
		}
	})
}
