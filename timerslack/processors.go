package timerslack

import (
	"os"
	"runtime"
)

// enough is the least number. A thread that waits in a system call keeps its processor until Go's monitor takes it back,
// within tens of milliseconds (see Coarsen), and another thread that wakes up meanwhile needs a free one. In
// a measurement with two processors, one in a hundred wake-ups of forty busy namespaces came 200 ms late; with 32, one in a
// hundred of a hundred namespaces' came 3 ms late. A processor takes 20 kB of memory.
//
// On a host with one processor the monitor takes processors back within microseconds. There Go counts on two, because
// with one each thread that waits in a system call would lose its processor for every message.
const (
	enough         = 32
	enoughOnSingle = 2
)

// RaiseProcessors makes Go count on enough processors where the host has fewer. Programs that call Coarsen must call it
// too: on two processors and without it, forty pairs took 3.2 s to start instead of 0.9 s. The environment variable
// GOMAXPROCS has the last word.
func RaiseProcessors() {
	least := enough
	if !Applies() {
		least = enoughOnSingle
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}
