package nsthread_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(envStopped) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	if err := reportStalls(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
