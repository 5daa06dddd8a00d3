package worker

import (
	"testing"
	"time"
)

func TestForecast(t *testing.T) {
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		before      int // the phase
		done, total int
		after       time.Duration
		want        string
	}{
		{0, 0, 1000, time.Minute, "receiving, 0 of 1000 (0 %)"},
		{0, 10, 1000, 999 * time.Millisecond, "receiving, 10 of 1000 (1 %)"},
		{0, 250, 1000, 10 * time.Second, "receiving, 250 of 1000 (25 %, done at about 12:00:40)"},
		{0, 1000, 1000, 10 * time.Second, "receiving, 1000 of 1000 (100 %, done at about 12:00:10)"},
		{200, 300, 1000, 10 * time.Second, "receiving, 300 of 1000 (30 %, done at about 12:01:20)"},
		{0, 2000, 1000, 10 * time.Second, "receiving, 2000 of 1000 (200 %, done at about 12:00:10)"},
	} {
		s := SyncState{Phase: "receiving", Done: c.done, Total: c.total}
		s.forecast(c.before, began, began.Add(c.after))
		if got := s.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
