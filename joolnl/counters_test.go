package joolnl

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestCountersVectors compares the decoded counters of the captures with the names and values that jool printed.
func TestCountersVectors(t *testing.T) {
	forEachCapture(t, func(t *testing.T, v Version) {
		want, _ := printedStats(t, v)
		counters, err := v.ParseCounters(only(t, v, "STATS_FOREACH").Attrs)
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[string]uint64)
		for i, name := range CounterNames() {
			if n, ok := counters.Get(i); ok {
				got[name] = n
			}
		}
		if diff := cmp.Diff(want, got); diff != "" || len(counters.Unnamed) > 0 {
			t.Errorf("counters (-printed +decoded):\n%s\nwithout a name: %v", diff, counters.Unnamed)
		}
	})
}

// TestCounterNumbers checks the number of counters of each version, and the numbers of some, against the
// module's sources.
func TestCounterNumbers(t *testing.T) {
	for _, c := range []struct {
		version string
		count   int
		numbers map[string]int
	}{
		{"4.1.0", 68, map[string]int{"JSTAT_FRAGMENTED_PING": 12, "JSTAT_ICMPEXT_SMALL": 66, "JSTAT_UNKNOWN": 68}},
		{"4.1.7", 68, map[string]int{"JSTAT_FRAGMENTED_PING": 12, "JSTAT_ICMPEXT_SMALL": 66, "JSTAT_UNKNOWN": 68}},
		{"4.1.8", 70, map[string]int{"JSTAT64_2XFRAG": 47, "JSTAT_ICMPEXT_SMALL": 68, "JSTAT_UNKNOWN": 70}},
		{"4.1.9", 69, map[string]int{"JSTAT_ICMPEXT_BIG": 68, "JSTAT_UNKNOWN": 69}},
		{"4.1.11", 69, map[string]int{"JSTAT_ICMPEXT_BIG": 68, "JSTAT_UNKNOWN": 69}},
		{"4.1.12", 84, map[string]int{"JSTAT_JOOLD_FLUSH_ASAP": 73, "JSTAT_JOOLD_ACKS": 83, "JSTAT_UNKNOWN": 84}},
		{"4.1.13", 83, map[string]int{"JSTAT_JOOLD_EMPTY": 69, "JSTAT_JOOLD_ACKS": 82, "JSTAT_UNKNOWN": 83}},
		{"4.1.15", 83, map[string]int{"JSTAT_JOOLD_EMPTY": 69, "JSTAT_JOOLD_ACKS": 82, "JSTAT_UNKNOWN": 83}},
		{"4.1.255.2", 75, map[string]int{"JSTAT_FRAGMENTED_PING": 12, "JSTAT_ICMPEXT_SMALL": 66, "JSTAT_MAPT_ADDR4": 68, "JSTAT_UNKNOWN": 75}},
		{"4.1.255.5", 92, map[string]int{"JSTAT_FRAGMENTED_PING": 12, "JSTAT_MAPT_ADDR4": 71, "JSTAT_JOOLD_EMPTY": 78, "JSTAT_JOOLD_ACKS": 91}},
	} {
		v, err := ParseVersion(c.version)
		if err != nil {
			t.Fatal(err)
		}
		places := v.counterPlaces()
		if len(places)-1 != c.count {
			t.Errorf("%s: %d counters, want %d", c.version, len(places)-1, c.count)
		}
		for name, number := range c.numbers {
			if number >= len(places) || moduleCounters[places[number]] != name {
				t.Errorf("%s: number %d is not %s", c.version, number, name)
			}
		}
		for number, place := range places {
			if k, ok := v.Stat(number); ok && k.String() != moduleCounters[place] {
				t.Errorf("%s: number %d is %s and %v", c.version, number, moduleCounters[place], k)
			}
		}
	}
}

// TestUnnamedCounters checks that counters of a newer module are reported by their numbers.
func TestUnnamedCounters(t *testing.T) {
	v, _ := ParseVersion("4.1.16")
	var attrs []byte
	for number := 80; number < 200; number++ {
		attrs = binary.NativeEndian.AppendUint16(attrs, 12)
		attrs = binary.NativeEndian.AppendUint16(attrs, uint16(number))
		attrs = binary.NativeEndian.AppendUint64(attrs, uint64(number))
	}
	c, err := v.ParseCounters(attrs)
	if err != nil || len(c.Unnamed) != maxUnnamed || fmt.Sprint(c.Unnamed[:2]) != "[{84 84} {85 85}]" {
		t.Errorf("%v, %v", c.Unnamed, err)
	}
}
