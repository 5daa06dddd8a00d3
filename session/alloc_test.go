package session

import (
	"bytes"
	"testing"
)

// TestNoAllocations checks that no function on the path of live sessions allocates.
func TestNoAllocations(t *testing.T) {
	for _, f := range formats {
		entry := mustAppend(t, f, sampleSession())
		list := bytes.Repeat(entry, MaxPerMessage)
		bad := append(bytes.Clone(list[:2*f.EntryLen()]), 5, 0, 1, 0)
		buf := make([]byte, 0, len(list))
		s := sampleSession()
		for name, fn := range map[string]func(){
			"Check":          func() { _ = f.Check(entry) },
			"CheckList":      func() { _, _ = f.CheckList(list) },
			"CheckList, bad": func() { _, _ = f.CheckList(bad) },
			"ListFormat":     func() { _ = ListFormat(list) },
			"Decode":         func() { _, _ = f.Decode(entry, capturePool6) },
			"Append":         func() { _, _ = f.Append(buf, s) },
		} {
			if n := testing.AllocsPerRun(100, fn); n != 0 {
				t.Errorf("%v, %s: %v allocations", f, name, n)
			}
		}
	}
}
