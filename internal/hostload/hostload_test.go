package hostload

import (
	"testing"
	"time"
)

// TestOwnWork has this program work: that is not the work of others, and what it claims for children is neither.
func TestOwnWork(t *testing.T) {
	m, err := Start()
	if err != nil {
		t.Fatal(err)
	}
	for ownTime()-m.own < 200*time.Millisecond {
	}
	alone, err := m.Others(0)
	if err != nil {
		t.Fatal(err)
	}
	if alone < 0 || alone > 1 {
		t.Errorf("others use %v of the processors, want a share from 0 to 1", alone)
	}
	if with, err := m.Others(time.Hour); err != nil || with != 0 {
		t.Errorf("others use %v of the processors, %v, though children used an hour; want 0", with, err)
	}
}
