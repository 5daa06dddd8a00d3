package await

import (
	"testing"
	"testing/synctest"
	"time"
)

// failed records whether a test has failed.
type failed struct {
	testing.TB
	text string
}

func (f *failed) Helper() {}

func (f *failed) Fatalf(format string, _ ...any) {
	f.text = format
	panic(f)
}

func TestWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		Within(t, time.Second, "half a second passes", func() bool { return time.Since(start) >= 500*time.Millisecond })
		if took := time.Since(start); took != 500*time.Millisecond {
			t.Errorf("Within returned after %v", took)
		}
	})
}

func TestNotWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(failed)
		func() {
			defer func() { _ = recover() }()
			Within(f, time.Second, "never", func() bool { return false })
		}()
		if f.text == "" {
			t.Error("the test did not fail")
		}
	})
}
