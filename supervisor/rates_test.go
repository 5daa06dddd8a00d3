package supervisor

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestMeter(t *testing.T) {
	start := time.Unix(1_000_000, 0)
	at := func(s float64, given, sent uint64) sample {
		return sample{start.Add(time.Duration(s * float64(time.Second))), given, sent}
	}
	for _, test := range []struct {
		name  string
		taken []sample
		now   sample
		want  *Rates
	}{
		{"no sample", nil, at(0, 1, 1), nil},
		{"too close", []sample{at(0, 0, 0)}, at(0.999, 100, 100), nil},
		{"one sample", []sample{at(0, 10, 0)}, at(2, 30, 1), &Rates{WindowSeconds: 2, In: 10, Out: 0.5}},
		{"idle", []sample{at(0, 7, 8)}, at(3, 7, 8), &Rates{WindowSeconds: 3}},
		{"three samples", []sample{at(0, 0, 0), at(5, 50, 0), at(10, 100, 0)}, at(12, 120, 6), &Rates{WindowSeconds: 12, In: 10, Out: 0.5}},
		{"the oldest is dropped", []sample{at(0, 0, 0), at(5, 1000, 0), at(10, 1000, 30), at(15, 1000, 30)}, at(15, 1020, 30),
			&Rates{WindowSeconds: 10, In: 2, Out: 3}},
		{"thousandths", []sample{at(0, 0, 0)}, at(3, 1, 2), &Rates{WindowSeconds: 3, In: 0.333, Out: 0.667}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var m meter
			for _, s := range test.taken {
				m.add(s)
			}
			if diff := cmp.Diff(test.want, m.rates(test.now)); diff != "" {
				t.Errorf("rates (-want +got):\n%s", diff)
			}
		})
	}
}

// TestRates makes a pair's counters rise. The rates must return to 0 once the rise is older than the window.
func TestRates(t *testing.T) {
	inBubble(t, func(dir string, f *fleet) { write(t, dir, "a", files{instance: "i1"}) }, func(r *rig) {
		rates := func() *Rates { return r.status().Workers[0].Rates }
		if got := rates(); got != nil {
			t.Errorf("at the start: %+v", got)
		}
		time.Sleep(time.Second)
		r.fleet.made[0].counters.Restore(map[string]uint64{"given": 40, "sent": 20})
		time.Sleep(time.Second)
		for _, want := range []*Rates{{WindowSeconds: 2, In: 20, Out: 10}, {WindowSeconds: 12, In: 3.333, Out: 1.667}, {WindowSeconds: 12}} {
			if diff := cmp.Diff(want, rates()); diff != "" {
				t.Errorf("rates (-want +got):\n%s", diff)
			}
			time.Sleep(10 * time.Second)
		}
	})
}
