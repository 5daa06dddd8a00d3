package eventlog_test

import (
	"fmt"
	"time"

	"joolctl/eventlog"
)

// Two pairs have events; one of them is read.
func ExampleLog() {
	log := eventlog.New(time.Now())
	log.Add(eventlog.Event{Pair: "blue", Kind: eventlog.State, Severity: eventlog.Info, Text: "waiting → running"})
	log.Add(eventlog.Event{Pair: "red", Kind: eventlog.State, Severity: eventlog.Error, Text: "running → backoff"})
	events, _, _ := log.After(0, []string{"red"})
	for _, e := range events {
		fmt.Println(e.Pair, e.Severity, e.Text)
	}
	// Output: red error running → backoff
}
