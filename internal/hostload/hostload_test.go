package hostload

import (
	"testing"
	"time"
)

// TestOwnWork checks that Others counts neither the test's own processor time nor the time of its children.
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
