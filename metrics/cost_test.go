package metrics

import (
	"io"
	"runtime"
	"testing"
	"time"
)

const (
	// manyPairs is the number of pairs in the largest installation that is measured. The limits apply to one scrape of
	// it.
	manyPairs    = 500
	scrapeTime   = 50 * time.Millisecond
	scrapeMemory = 10 << 20
)

// counting is a Writer that counts bytes and lines.
type counting struct{ bytes, lines int }

func (c *counting) Write(p []byte) (int, error) {
	for _, b := range p {
		if b == '\n' {
			c.lines++
		}
	}
	c.bytes += len(p)
	return len(p), nil
}

// TestAllocations checks that a scrape allocates a few times for each pair, and not for each of its 190 series.
func TestAllocations(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector allocates")
	}
	s := many(t, 100)
	perScrape := testing.AllocsPerRun(3, func() { _ = Encode(io.Discard, Text, s, sampleBuild) })
	if perScrape > 100*6+100 {
		t.Errorf("%v allocations for %d pairs", perScrape, len(s.Workers))
	}
}

// TestScrapeCost measures a scrape of 500 pairs with all counters of the module. It uses the fastest of several scrapes,
// because other programs run at the same time.
func TestScrapeCost(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector takes time and memory")
	}
	s := many(t, manyPairs)
	var size counting
	_ = Encode(&size, Text, s, sampleBuild)
	var fastest time.Duration
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const runs = 10
	for range runs {
		began := time.Now()
		_ = Encode(io.Discard, Text, s, sampleBuild)
		if took := time.Since(began); fastest == 0 || took < fastest {
			fastest = took
		}
	}
	runtime.ReadMemStats(&after)
	memory := (after.TotalAlloc - before.TotalAlloc) / runs
	t.Logf("%d lines, %d bytes: %v and %d bytes of memory", size.lines, size.bytes, fastest, memory)
	if fastest > scrapeTime || memory > scrapeMemory {
		t.Errorf("a scrape takes %v and %d bytes, want %v and %d at most", fastest, memory, scrapeTime, scrapeMemory)
	}
}

// BenchmarkScrape encodes 500 pairs.
func BenchmarkScrape(b *testing.B) {
	for name, module := range map[string]bool{"pairs": false, "pairs and module": true} {
		b.Run(name, func(b *testing.B) {
			s := many(b, manyPairs)
			if !module {
				s.Module = nil
			}
			b.ReportAllocs()
			for b.Loop() {
				_ = Encode(io.Discard, Text, s, sampleBuild)
			}
		})
	}
}
