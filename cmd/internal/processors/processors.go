// Package processors says how many processors Go is to count on.
package processors

import (
	"os"
	"runtime"
)

// AtLeastTwo has Go count on two where there is one. With one, its monitor takes
// that away from each thread that waits in a system call, within microseconds,
// and gives it to another thread, which then waits in turn: both wake up for
// every message. The variable GOMAXPROCS of the environment has the last word.
func AtLeastTwo() {
	if os.Getenv("GOMAXPROCS") == "" && runtime.GOMAXPROCS(0) < 2 {
		runtime.GOMAXPROCS(2)
	}
}
