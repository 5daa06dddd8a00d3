package lab

import (
	"testing"
	"time"
)

// TestHostTicksRate checks that the clock and the counter advance at the same rate, also on a busy host.
func TestHostTicksRate(t *testing.T) {
	start, from := readTicks()
	time.Sleep(time.Second) // the test compares two measurements of real time; a longer time makes both more precise
	end, to := readTicks()
	took := time.Duration(float64(to-from) / float64(hostTicksRate()) * float64(time.Millisecond))
	if want := end.Sub(start); (took - want).Abs() > want/1000 {
		t.Errorf("%v passed, by the counter %v", want, took)
	}
}
