package e2e

import (
	"fmt"
	"io"
	"time"
)

// SoakGuest is the guest for a soak of so many minutes of faults.
func SoakGuest(version string, minutes int, seed uint64, stdout io.Writer) Guest {
	return Guest{
		Jool:    version,
		Purpose: "soak",
		Args: []string{
			"-test.v", "-test.run=^TestSoak$",
			fmt.Sprintf("-soak.minutes=%d", minutes), fmt.Sprintf("-soak.seed=%d", seed),
		},
		Timeout:   time.Duration(2*minutes)*time.Minute + 4*time.Minute, // far more than it should take
		Stdout:    stdout,
		MemoryMiB: 2048,
	}
}
