package joolnl

import (
	"bytes"
	"testing"
)

// TestNoAllocations holds the path of every session to zero.
func TestNoAllocations(t *testing.T) {
	for _, v := range []Version{0x04010900, 0x04010c00, 0x04010f00} {
		f := v.Format()
		entry := mustAppend(t, f, sampleSession())
		list := bytes.Repeat(entry, MaxSessions)
		bad := append(bytes.Clone(list[:2*f.EntryLen()]), 5, 0, 1, 0)
		r := Requests{Family: 32, Version: v, Instance: "fifteen letters"}
		add, err := r.Add(nil, 1, list)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 0, len(add))
		session := sampleSession()
		for name, fn := range map[string]func(){
			"Check":          func() { _ = f.Check(entry) },
			"CheckList":      func() { _, _ = f.CheckList(list) },
			"CheckList, bad": func() { _, _ = f.CheckList(bad) },
			"ListFormat":     func() { _ = ListFormat(list) },
			"AddHeader":      func() { _ = r.AddHeader(buf, 1, len(list)) },
			"Add":            func() { _, _ = r.Add(buf, 1, list) },
			"Ack":            func() { _ = r.Ack(buf, 1) },
			"Decode":         func() { _, _ = f.Decode(entry, capturePool6) },
			"Append":         func() { _, _ = f.Append(buf, session) },
			"ParseMulticast": func() { _, _, _ = ParseMulticast(add) },
			"SessionEntries": func() { _ = SessionEntries(add[attrsAt:]) },
		} {
			if n := testing.AllocsPerRun(100, fn); n != 0 {
				t.Errorf("%v, %s: %v allocations", v, name, n)
			}
		}
	}
}
