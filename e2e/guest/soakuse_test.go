package guest

import (
	"testing"
	"time"
)

// TestLeaks runs outside of a machine.
func TestLeaks(t *testing.T) {
	use := func(grow func(at int, u *Use)) string {
		var all []usedAt
		for at := range 60 {
			u := Use{Goroutines: 20 + at%3, Descriptors: 40, Threads: 8, ResidentKiB: 9000 + at%5*100}
			grow(at, &u)
			all = append(all, usedAt{time.Duration(at) * time.Second, u})
		}
		u, ok := thirds(all, 30*time.Second, time.Minute)
		if !ok {
			t.Fatal("no samples")
		}
		return u.leaks(false)
	}
	if leak := use(func(int, *Use) {}); leak != "" {
		t.Errorf("constant use is taken for a leak: %s", leak)
	}
	if use(func(at int, u *Use) { u.Goroutines += at / 2 }) == "" || use(func(at int, u *Use) { u.Descriptors += at / 2 }) == "" ||
		use(func(at int, u *Use) { u.ResidentKiB += at * 1000 }) == "" {
		t.Error("a leak is not noticed")
	}
	if leak := use(func(at int, u *Use) {
		if at < 30 {
			u.ResidentKiB += at * 400
		}
	}); leak != "" {
		t.Errorf("growth that ends early is taken for a leak: %s", leak)
	}
}
