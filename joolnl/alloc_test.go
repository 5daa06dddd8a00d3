package joolnl

import (
	"bytes"
	"testing"

	"joolctl/session"
)

// TestNoAllocations checks that the functions on the path of live sessions allocate no memory.
func TestNoAllocations(t *testing.T) {
	for _, v := range []Version{0x04010900, 0x04010c00, 0x04010f00} {
		f := v.Format()
		entry := mustAppend(t, f, sampleSession())
		list := bytes.Repeat(entry, session.MaxPerMessage)
		r := Requests{Family: 32, Version: v, Instance: "fifteen letters"}
		add := append(r.AddHeader(nil, 1, len(list)), list...)
		buf := make([]byte, 0, len(add))
		for name, fn := range map[string]func(){
			"AddHeader":      func() { _ = r.AddHeader(buf, 1, len(list)) },
			"Ack":            func() { _ = r.Ack(buf, 1) },
			"ParseMulticast": func() { _, _, _ = ParseMulticast(add) },
			"SessionEntries": func() { _ = SessionEntries(add[attrsAt:]) },
		} {
			if n := testing.AllocsPerRun(100, fn); n != 0 {
				t.Errorf("%v, %s: %v allocations", v, name, n)
			}
		}
	}
}
