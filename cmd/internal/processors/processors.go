// Package processors says how many processors Go counts on.
package processors

import (
	"os"
	"runtime"
)

// enough is the least number. A thread that waits in a system call keeps its processor until Go's monitor takes it back,
// within milliseconds (see package timerslack), and another thread that wakes up meanwhile needs a free one. With two,
// eight busy namespaces waited for 13 ms one time in a hundred, with 16 a hundred namespaces for less than 1 ms. Each
// takes 20 kB of memory.
const enough = 16

// AtLeastEnough makes Go count on 16 processors where there are fewer. The environment's variable GOMAXPROCS has the last
// word.
func AtLeastEnough() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < enough {
		runtime.GOMAXPROCS(enough)
	}
}
