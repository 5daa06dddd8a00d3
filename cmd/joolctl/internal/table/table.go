// Package table shows the status of pairs as text: rows with columns, the reasons below them, and the details of one pair.
package table

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"joolctl/supervisor"
)

// Options are how a table is written.
type Options struct {
	Now     time.Time
	Colours bool
	// Wide adds a column, and the details of all pairs below the table.
	Wide bool
}

// Column is a column of the table.
type Column struct {
	Head string
	// Number is true if the column is aligned to the right.
	Number bool
	Cell   func(row *supervisor.Row, now time.Time) string
}

// Columns are the columns of the table.
var Columns = []Column{
	{"NAME", false, func(row *supervisor.Row, _ time.Time) string { return Cell(row.Name) }},
	{"INSTANCE", false, func(row *supervisor.Row, _ time.Time) string { return instance(row) }},
	{"STATE", false, func(row *supervisor.Row, _ time.Time) string { return Cell(string(row.State)) }},
	{"SYNCED", false, func(row *supervisor.Row, _ time.Time) string { return Synced(row) }},
	{"SESSIONS", true, func(row *supervisor.Row, _ time.Time) string { return sessions(row) }},
	{"LAG", true, func(row *supervisor.Row, _ time.Time) string { return lag(row) }},
	{"IN/s", true, func(row *supervisor.Row, _ time.Time) string {
		return rate(row, func(r *supervisor.Rates) float64 { return r.In })
	}},
	{"OUT/s", true, func(row *supervisor.Row, _ time.Time) string {
		return rate(row, func(r *supervisor.Rates) float64 { return r.Out })
	}},
	{"LOST", true, func(row *supervisor.Row, _ time.Time) string { return number(row.LostSessions) }},
	{"PEERS", true, func(row *supervisor.Row, _ time.Time) string { return livePeers(row.Peers) }},
	{"SINCE", false, func(row *supervisor.Row, now time.Time) string { return Age(now.Sub(row.Since)) }},
}

var wideColumns = append(Columns[:len(Columns):len(Columns)],
	Column{"RESTARTS", true, func(row *supervisor.Row, _ time.Time) string { return strconv.Itoa(row.Restarts) }})

// stateColumn is the index of STATE, which has a colour.
const stateColumn = 2

// Colours are the escape sequences of the states' colours. ColourEnd ends each of them.
var Colours = map[supervisor.State]string{
	supervisor.Running: "\x1b[32m",
	supervisor.Waiting: "\x1b[33m",
	supervisor.Backoff: "\x1b[31m",
	supervisor.Failed:  "\x1b[31m",
}

// ColourEnd ends a colour.
const ColourEnd = "\x1b[0m"

// Write writes a row for each worker, and below the table the reasons why workers are not as they should be.
func Write(w io.Writer, s supervisor.Status, o Options) error {
	var out bytes.Buffer
	writeRows(&out, s.Workers, o)
	fmt.Fprintf(&out, "\n%s\n", States(s.Workers))
	if s.Reason != "" {
		fmt.Fprintf(&out, "%s\n", s.Reason)
	}
	writeNotes(&out, s.Workers, o)
	if o.Wide {
		for i := range s.Workers {
			for _, d := range Details(&s.Workers[i], o.Now) {
				fmt.Fprintf(&out, "%s: %s: %s\n", s.Workers[i].Name, d.Subject, d.Text)
			}
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// writeRows writes the aligned rows below their head.
func writeRows(out *bytes.Buffer, workers []supervisor.Row, o Options) {
	shown := Columns
	if o.Wide {
		shown = wideColumns
	}
	rows := make([][]string, len(workers)+1)
	width := make([]int, len(shown))
	for c, column := range shown {
		rows[0] = append(rows[0], column.Head)
		for w := range workers {
			rows[w+1] = append(rows[w+1], column.Cell(&workers[w], o.Now))
		}
		for _, row := range rows {
			width[c] = max(width[c], utf8.RuneCountInString(row[c]))
		}
	}
	for r, row := range rows {
		var line strings.Builder
		for c, text := range row {
			padding := strings.Repeat(" ", width[c]-utf8.RuneCountInString(text))
			switch {
			case shown[c].Number:
				text = padding + text
			case c == stateColumn && o.Colours && r > 0:
				text = Colours[workers[r-1].State] + text + ColourEnd + padding
			default:
				text += padding
			}
			line.WriteString(text + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// States counts workers by state.
func States(rows []supervisor.Row) string {
	n := make(map[supervisor.State]int)
	for _, row := range rows {
		n[row.State]++
	}
	var parts []string
	for _, state := range []supervisor.State{supervisor.Running, supervisor.Waiting, supervisor.Backoff, supervisor.Failed} {
		if n[state] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[state], state))
		}
	}
	text := Count(len(rows), "worker", "workers")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}
