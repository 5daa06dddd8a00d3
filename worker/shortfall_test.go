package worker

import "testing"

func TestShortfall(t *testing.T) {
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
	for _, c := range []struct {
		name   string
		hellos []hello
		want   int // the HELLO at which it is said to last; 0: never
	}{
		{"one session, nothing moves", repeat(10, hello{1000, 999}), 4},
		{"much, nothing moves", repeat(10, hello{1000, 500}), 4},
		{"equal", repeat(100, hello{1000, 1000}), 0},
		{"ours is larger", repeat(100, hello{999, 1000}), 0},
		{"both empty", repeat(100, hello{0, 0}), 0},
		{"all of one", repeat(10, hello{1, 0}), 4},
		{"a table that grows is never caught up with", func() (all []hello) {
			for i := range uint32(100) {
				all = append(all, hello{1000 + 100*i, 950 + 100*int(i)})
			}
			return all
		}(), 0},
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
		}(), 4},
		{"the largest count", repeat(10, hello{1<<32 - 1, 1}), 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			var s shortfall
			var before uint32
			got := 0
			for i, h := range c.hellos {
				if s.lasts(before, h.theirs, h.ours) {
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
