package supervisor

import "runtime/metrics"

// Runtime describes the resources of the supervisor's process, all workers together. Memory, descriptors and threads as
// the kernel counts them are in /proc.
type Runtime struct {
	// Goroutines is how many goroutines there are.
	Goroutines uint64 `json:"goroutines"`
	// HeapBytes is the memory of objects on the heap, including those that are not used any more and that the collector has
	// not found yet.
	HeapBytes uint64 `json:"heap_bytes"`
}

// currentRuntime reads the numbers without stopping any goroutine.
func currentRuntime() Runtime {
	samples := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(samples)
	return Runtime{samples[0].Value.Uint64(), samples[1].Value.Uint64()}
}
