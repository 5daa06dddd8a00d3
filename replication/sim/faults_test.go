package sim

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFaultsInOneLine(t *testing.T) {
	for _, f := range []Fault{
		{Kind: Loss, At: 1500 * time.Millisecond, For: time.Minute, Host: -1, Peer: -1, Amount: 0.1234567},
		{Kind: Partition, For: time.Second, Host: 1, Sides: 5},
		{Kind: Failover, At: 3 * time.Second, Host: 2, Peer: 1},
	} {
		got, err := ParseFault(f.String())
		if err != nil {
			t.Error(err)
		}
		if diff := cmp.Diff(f, got); diff != "" {
			t.Errorf("%v (-want +got):\n%s", f, diff)
		}
	}
	for line, want := range map[string]string{
		"": "no kind", "flood at=1s": "unknown kind", "loss at=1": "missing unit", "loss speed=3": "unknown field", "loss host=x": "invalid syntax",
	} {
		if _, err := ParseFault(line); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("fault %q: error %v, want one about %q", line, err, want)
		}
	}
}

func TestGenerate(t *testing.T) {
	p := Plan{Hosts: 4, From: 10 * time.Second, To: time.Minute, Faults: 2000}
	faults := Generate(1, p)
	if diff := cmp.Diff(faults, Generate(1, p)); diff != "" {
		t.Errorf("one seed gives two schedules:\n%s", diff)
	}
	if cmp.Equal(faults, Generate(2, p)) {
		t.Error("two seeds give one schedule")
	}
	seen := make(map[Kind]int)
	last := time.Duration(0)
	for _, f := range faults {
		seen[f.Kind]++
		switch {
		case f.At < p.From && f.Kind != Merge, f.At != 0 && f.Kind == Merge, f.For < 0, f.End() > p.To, f.At < last:
			t.Errorf("%v: outside of %v to %v, or out of order", f, p.From, p.To)
		case f.Host == f.Peer && f.Host >= 0, f.Host >= p.Hosts, f.Peer >= p.Hosts:
			t.Errorf("%v: no such hosts", f)
		case (f.Kind == Partition || f.Kind == Merge) && (f.Sides == 0 || f.Sides >= 1<<p.Hosts-1):
			t.Errorf("%v: all hosts on one side", f)
		}
		last = f.At
	}
	for _, k := range Kinds() {
		if seen[k] == 0 {
			t.Errorf("no fault of kind %v", k)
		}
	}
	if end := End(faults); end > p.To || end < p.From {
		t.Errorf("the last fault ends at %v", end)
	}
	only := Generate(3, Plan{Hosts: 2, To: time.Minute, Faults: 20, Kinds: []Kind{Stall}})
	for _, f := range only {
		if f.Kind != Stall {
			t.Errorf("%v instead of a stall", f)
		}
	}
}

func TestMinimise(t *testing.T) {
	has := func(wanted ...int) func([]int) bool {
		return func(items []int) bool {
			found := 0
			for _, i := range items {
				for _, w := range wanted {
					if i == w {
						found++
					}
				}
			}
			return found == len(wanted)
		}
	}
	for name, c := range map[string]struct {
		items []int
		fails func([]int) bool
		want  []int
	}{
		"one of many":      {numbers(100), has(37), []int{37}},
		"the only one":     {numbers(1), has(0), []int{0}},
		"three far apart":  {numbers(100), has(3, 50, 99), []int{3, 50, 99}},
		"all":              {numbers(5), has(0, 1, 2, 3, 4), numbers(5)},
		"none is needed":   {numbers(5), has(), nil},
		"it does not fail": {numbers(5), has(7), numbers(5)},
		"no items":         {nil, has(), nil},
	} {
		t.Run(name, func(t *testing.T) {
			calls := 0
			got := Minimise(c.items, func(items []int) bool { calls++; return c.fails(items) })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("items (-want +got):\n%s", diff)
			}
			if calls > 200 {
				t.Errorf("%d calls", calls)
			}
		})
	}
}

func TestCoverage(t *testing.T) {
	var a, b Coverage
	a.Hit(Loss, "idle")
	a.Hit(Loss, "receiving")
	b.Hit(Loss, "idle")
	b.Hit(Forge, "injecting")
	a.Merge(&b)
	var out strings.Builder
	if err := a.Print(&out, nil); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(out.String(), "\n")
	got := []string{lines[0], lines[1], lines[2], lines[Forge+1]}
	if diff := cmp.Diff([]string{
		"fault         idle  injecting  receiving",
		"loss          2     -          1",
		"duplicate     -     -          -",
		"forge         -     1          -",
	}, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	out.Reset()
	if err := a.Print(&out, []string{"untested"}); err != nil || !strings.Contains(out.String(), "untested") {
		t.Errorf("a phase that never occurred has no column, error %v", err)
	}
}
