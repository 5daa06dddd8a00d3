package replication

import (
	"testing"
	"time"
)

// HELLOs come each second while a worker is busy.
func TestLargerTable(t *testing.T) {
	type hello struct {
		theirs uint32
		ours   int
	}
	repeat := func(n int, of ...hello) (all []hello) {
		for range n {
			all = append(all, of...)
		}
		return all
	}
	growing := func(theirs uint32, ours int) (all []hello) {
		for i := range uint32(100) {
			all = append(all, hello{theirs + 10*i, ours + 10*int(i)})
		}
		return all
	}
	for _, c := range []struct {
		name   string
		hellos []hello
		want   int // the HELLO at which it is said to last; 0: never
	}{
		{"one session, nothing moves", repeat(10, hello{1000, 999}), 7},
		{"much, nothing moves", repeat(10, hello{1000, 500}), 7},
		{"what waits in the peer's module comes", append(repeat(5, hello{1000, 990}), repeat(100, hello{1000, 1000})...), 0},
		{"and again, each time", repeat(20, append(repeat(5, hello{1000, 990}), hello{1000, 1000})...), 0},
		{"equal", repeat(100, hello{1000, 1000}), 0},
		{"ours is larger", repeat(100, hello{999, 1000}), 0},
		{"both empty", repeat(100, hello{0, 0}), 0},
		{"all of one", repeat(10, hello{1, 0}), 7},
		{"a table that grows is never caught up with", func() (all []hello) {
			for i := range uint32(100) {
				all = append(all, hello{1000 + 100*i, 950 + 100*int(i)})
			}
			return all
		}(), 0},
		{"much, while the tables grow", growing(10_000, 9_800), 11},
		{"a little, while the tables grow", growing(10_000, 9_940), 26},
		{"what grows is on its way", growing(10_000, 9_955), 0},
		{"now this has more, now that", repeat(100, hello{1003, 1000}, hello{1000, 1002}), 0},
		{"a little, while the tables shrink", func() (all []hello) {
			for i := range uint32(100) {
				all = append(all, hello{10_000 - i, 9_990 - int(i)})
			}
			return all
		}(), 22},
		{"much, while the tables shrink", func() (all []hello) {
			for i := range uint32(100) {
				all = append(all, hello{10_000 - i, 5_000 - int(i)})
			}
			return all
		}(), 7},
		{"the largest count", repeat(10, hello{1<<32 - 1, 1}), 7},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s LargerTable
			var before uint32
			got, began := 0, time.Now()
			for i, h := range c.hellos {
				if s.Lasts(before, h.theirs, h.ours, began.Add(time.Duration(i)*time.Second)) {
					got = i + 1
					break
				}
				before = h.theirs
			}
			if got != c.want {
				t.Errorf("lasts at HELLO %d, want %d", got, c.want)
			}
		})
	}
}
