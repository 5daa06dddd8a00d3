package guest

import (
	"fmt"
	"os"
	"testing"
)

// TestMain fails a machine in which no test ran: each skips itself that is not for the machine's purpose.
func TestMain(m *testing.M) {
	becomePod()
	code := m.Run()
	if purpose := os.Getenv(EnvRun); purpose != "" && !entered.Load() {
		fmt.Printf("no test that was asked for is for %s=%s\n", EnvRun, purpose)
		code = 1
	}
	os.Exit(code)
}
