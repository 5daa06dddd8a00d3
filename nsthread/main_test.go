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
	if err := tellStandstills(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}
