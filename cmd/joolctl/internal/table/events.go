package table

import (
	"fmt"
	"time"

	"joolctl/eventlog"
	"joolctl/supervisor"
)

// severityColours are the colours of events with a severity above info.
var severityColours = map[eventlog.Severity]string{
	eventlog.Warning: Colours[supervisor.Waiting],
	eventlog.Error:   Colours[supervisor.Failed],
}

// eventTime is the form of an event's time, which is local.
const eventTime = "2006-01-02 15:04:05.000"

// EventLine is an event in one line: its time, pair, kind and text.
func EventLine(e eventlog.Event, colours bool) string {
	kind := fmt.Sprintf("%-16s", e.Kind)
	if colour := severityColours[e.Severity]; colours && colour != "" {
		kind = colour + kind + ColourEnd
	}
	return fmt.Sprintf("%s  %s  %s  %s", e.Time.Local().Format(eventTime), Cell(e.Pair), kind, Cell(e.Text))
}

// EventOfPair is an event in one line, with its age instead of its time and without its pair.
func EventOfPair(e eventlog.Event, now time.Time) string {
	return fmt.Sprintf("%s ago, %s: %s", Age(now.Sub(e.Time)), e.Kind, Cell(e.Text))
}
