// Package processors says how many processors Go counts on.
package processors

import (
	"os"
	"runtime"

	"joolctl/timerslack"
)

// enough is the least number. A thread that waits in a system call keeps its processor until Go's monitor takes it back,
// within tens of milliseconds (see package timerslack), and another thread that wakes up meanwhile needs a free one. In
// a measurement with two processors, one in a hundred wake-ups of forty busy namespaces came 200 ms late; with 32, one in a
// hundred of a hundred namespaces' came 3 ms late. A processor takes 20 kB of memory.
//
// On a host with one processor the monitor takes processors back within microseconds. There Go counts on two, because
// with one each thread that waits in a system call would lose its processor for every message.
const (
	enough         = 32
	enoughOnSingle = 2
)

// AtLeastEnough makes Go count on enough processors where the host has fewer. The environment's variable GOMAXPROCS has
// the last word.
func AtLeastEnough() {
	least := enough
	if !timerslack.Applies() {
		least = enoughOnSingle
	}
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < least {
		runtime.GOMAXPROCS(least)
	}
}
