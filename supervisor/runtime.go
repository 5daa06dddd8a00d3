package supervisor

import "runtime/metrics"

// Runtime is what the supervisor's program takes, all workers together. What the
// system knows of it (memory, descriptors, threads) is in /proc.
type Runtime struct {
	Goroutines uint64 `json:"goroutines"`
	// HeapBytes are in objects, those that nobody needs any more but the
	// collector has not found yet included.
	HeapBytes uint64 `json:"heap_bytes"`
}

// currentRuntime reads it, which stops nobody.
func currentRuntime() Runtime {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return Runtime{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
