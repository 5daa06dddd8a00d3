package guest

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// useOf measures the resources that a process uses, but not Goroutines.
func useOf(t testing.TB, p *process) (u Use) {
	t.Helper()
	proc := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	descriptors, err := os.ReadDir(proc + "fd")
	if err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile(proc + "status")
	if err != nil {
		t.Fatal(err)
	}
	u.Descriptors = len(descriptors)
	for line := range strings.Lines(string(status)) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(value), " kB")) // most lines are no numbers
		switch name {
		case "Threads":
			u.Threads = n
		case "VmRSS":
			u.ResidentKiB = n
		}
	}
	if u.ResidentKiB == 0 || u.Threads == 0 {
		t.Fatalf("%sstatus tells neither memory nor threads:\n%s", proc, status)
	}
	return u
}

// usedAt has the resources that were used at that time after the beginning.
type usedAt struct {
	at time.Duration
	Use
}

// thirds are the medians over the first third of the time from settled to end, and over the last.
func thirds(all []usedAt, settled, end time.Duration) (u SoakUse, ok bool) {
	third := (end - settled) / 3
	var first, last []Use
	for _, s := range all {
		switch {
		case s.at < settled:
		case s.at < settled+third:
			first = append(first, s.Use)
		case s.at >= end-third:
			last = append(last, s.Use)
		}
	}
	if len(first) == 0 || len(last) == 0 {
		return u, false
	}
	return SoakUse{medianUse(first), medianUse(last)}, true
}

func medianUse(all []Use) Use {
	median := func(of func(Use) int) int {
		var values []int
		for _, u := range all {
			values = append(values, of(u))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return Use{
		Goroutines:  median(func(u Use) int { return u.Goroutines }),
		Descriptors: median(func(u Use) int { return u.Descriptors }),
		Threads:     median(func(u Use) int { return u.Threads }),
		ResidentKiB: median(func(u Use) int { return u.ResidentKiB }),
	}
}

const (
	// flatWithin: a waiting worker and one in a full sync have some goroutines and descriptors more or less.
	flatWithin = 6
	// flatKiB beside a fifth: the collector lets the heap double between two runs, and full syncs allocate tables and release them.
	flatKiB = 4 << 10
)

// leaks describes the resources that have grown, "" if none have. It ignores the memory of a program that was restarted
// meanwhile.
func (u SoakUse) leaks(startedAgain bool) string {
	var grown []string
	for _, g := range []struct {
		what        string
		first, most int
		last        int
	}{
		{"goroutines", u.First.Goroutines, u.First.Goroutines + flatWithin, u.Last.Goroutines},
		{"descriptors", u.First.Descriptors, u.First.Descriptors + flatWithin, u.Last.Descriptors},
		{"KiB resident", u.First.ResidentKiB, u.First.ResidentKiB*6/5 + flatKiB, u.Last.ResidentKiB},
	} {
		if g.last > g.most && !(startedAgain && g.what == "KiB resident") {
			grown = append(grown, fmt.Sprintf("%d %s at first, %d in the end", g.first, g.what, g.last))
		}
	}
	return strings.Join(grown, ", ")
}
