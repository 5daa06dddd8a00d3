package supervisor

import "runtime/metrics"

// Runtime is what the supervisor's program takes, all workers together. What the
// system knows of it (memory, descriptors, threads) is in /proc.
type Runtime struct {
	// Goroutines is how many goroutines there are.
	Goroutines uint64 `json:"goroutines"`
	// HeapBytes is the memory of objects on the heap, including those that are not used any more and that the collector has
	// not found yet.
	HeapBytes uint64 `json:"heap_bytes"`
}

// currentRuntime reads it, which stops nobody.
func currentRuntime() Runtime {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return Runtime{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
