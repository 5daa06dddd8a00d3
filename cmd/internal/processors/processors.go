// Package processors says how many processors Go counts on.
package processors

import (
	"os"
	"runtime"
)

// enough is the least number. A thread that waits in a system call keeps its processor until Go's monitor takes it back,
// within tens of milliseconds (see package timerslack), and another thread that wakes up meanwhile needs a free one. In
// a measurement with two processors, one in a hundred wake-ups of forty busy namespaces came 200 ms late; with 32, one in a
// hundred of a hundred namespaces' came 3 ms late. A processor takes 20 kB of memory.
const enough = 32

// AtLeastEnough makes Go count on 32 processors where there are fewer. The environment's variable GOMAXPROCS has the last
// word.
func AtLeastEnough() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < enough {
		runtime.GOMAXPROCS(enough)
	}
}
