package supervisor

import (
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	for _, test := range []struct {
		failure int
		part    float64
		want    time.Duration
	}{
		{0, 1, 100 * time.Millisecond},
		{0, 0.5, 50 * time.Millisecond},
		{0, 0, 0},
		{1, 1, 200 * time.Millisecond},
		{8, 1, 25600 * time.Millisecond},
		{9, 1, 30 * time.Second},
		{9, 0.1, 3 * time.Second},
		{1 << 40, 1, 30 * time.Second},
	} {
		if got := backoff(test.failure, test.part); got != test.want {
			t.Errorf("backoff(%d, %v) = %v, want %v", test.failure, test.part, got, test.want)
		}
	}
}
