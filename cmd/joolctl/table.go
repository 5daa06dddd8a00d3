package main

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"joolctl/supervisor"
)

type tableOptions struct {
	now     time.Time
	colours bool
	wide    bool
}

// column is a column of the table of workers.
type column struct {
	head   string
	number bool // it is aligned to the right
	cell   func(row *supervisor.Row, now time.Time) string
}

var columns = []column{
	{"NAME", false, func(row *supervisor.Row, _ time.Time) string { return cell(row.Name) }},
	{"INSTANCE", false, func(row *supervisor.Row, _ time.Time) string { return instance(row) }},
	{"STATE", false, func(row *supervisor.Row, _ time.Time) string { return cell(string(row.State)) }},
	{"SYNCED", false, func(row *supervisor.Row, _ time.Time) string { return synced(row) }},
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
	{"SINCE", false, func(row *supervisor.Row, now time.Time) string { return age(now.Sub(row.Since)) }},
}

var wideColumns = append(columns[:len(columns):len(columns)],
	column{"RESTARTS", true, func(row *supervisor.Row, _ time.Time) string { return strconv.Itoa(row.Restarts) }})

// stateColumn is the index of STATE, which has a colour.
const stateColumn = 2

// writeTable shows a row for each worker, and below the table the reasons why workers are not as they should be.
func writeTable(w io.Writer, s supervisor.Status, o tableOptions) error {
	var out bytes.Buffer
	writeRows(&out, s.Workers, o)
	fmt.Fprintf(&out, "\n%s\n", states(s.Workers))
	if s.Reason != "" {
		fmt.Fprintf(&out, "%s\n", s.Reason)
	}
	writeNotes(&out, s.Workers, o)
	if o.wide {
		for i := range s.Workers {
			writeDetails(&out, &s.Workers[i], o.now)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// writeRows writes the aligned rows below their head.
func writeRows(out *bytes.Buffer, workers []supervisor.Row, o tableOptions) {
	shown := columns
	if o.wide {
		shown = wideColumns
	}
	rows := make([][]string, len(workers)+1)
	width := make([]int, len(shown))
	for c, column := range shown {
		rows[0] = append(rows[0], column.head)
		for w := range workers {
			rows[w+1] = append(rows[w+1], column.cell(&workers[w], o.now))
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
			case shown[c].number:
				text = padding + text
			case c == stateColumn && o.colours && r > 0:
				text = colours[workers[r-1].State] + text + colourEnd + padding
			default:
				text += padding
			}
			line.WriteString(text + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
}

// instance is an instance and its namespace.
func instance(row *supervisor.Row) string {
	if row.Namespace == "" {
		return cell(row.Instance)
	}
	return cell(row.Instance + "@" + row.Namespace)
}

// synced is the verdict, with the progress of a full sync that the table needs.
func synced(row *supervisor.Row) string {
	if f := row.FullSync; f != nil && f.Incomplete && f.TotalSessions > 0 {
		return fmt.Sprintf("no %d %%", f.Percent())
	}
	return cell(row.Synced)
}

// sessions is the size of the own table, and that of the largest table of a live peer.
func sessions(row *supervisor.Row) string {
	size := func(n *uint64) string {
		if n == nil {
			return "-"
		}
		return number(*n)
	}
	return size(row.Sessions) + " / " + size(row.BestPeerSessions)
}

// lag is how far the live peer that is furthest behind is behind: "-" without a live peer, "?" if that is not known.
func lag(row *supervisor.Row) string {
	if l := row.Lag; l != nil {
		return lagText(*l)
	}
	for _, peer := range row.Peers {
		if peer.Live && peer.Lost != nil {
			return "?"
		}
	}
	return "-"
}

func lagText(l supervisor.Lag) string {
	if l.Sessions == 0 && l.Seconds == 0 {
		return "0"
	}
	return fmt.Sprintf("%d %s", l.Sessions, shortSeconds(l.Seconds))
}

// shortSeconds is a number of seconds with a precision that fits its size.
func shortSeconds(s float64) string {
	switch {
	case s < 10:
		return strconv.FormatFloat(s, 'f', 2, 64) + "s"
	case s < 60:
		return strconv.FormatFloat(s, 'f', 1, 64) + "s"
	}
	return age(time.Duration(s * float64(time.Second)))
}

// rate is one of a row's rates; "-" if there is none yet.
func rate(row *supervisor.Row, of func(*supervisor.Rates) float64) string {
	if row.Rates == nil {
		return "-"
	}
	n := of(row.Rates)
	if n > 0 && n < 10 {
		return strconv.FormatFloat(n, 'f', 1, 64)
	}
	return strconv.FormatFloat(n, 'f', 0, 64)
}

// livePeers is how many peers are live, of how many.
func livePeers(peers []supervisor.Peer) string {
	live := 0
	for _, peer := range peers {
		if peer.Live {
			live++
		}
	}
	if live == len(peers) {
		return strconv.Itoa(live)
	}
	return fmt.Sprintf("%d of %d", live, len(peers))
}

// states counts workers by state.
func states(rows []supervisor.Row) string {
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
	text := count(len(rows), "worker", "workers")
	if len(parts) > 0 {
		text += ": " + strings.Join(parts, ", ")
	}
	return text
}

// cell is text that can't upset a table or a terminal; "-" for none.
func cell(text string) string {
	if text == "" {
		return "-"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(text) {
		return strconv.Quote(text)
	}
	return text
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// age is a duration in its two largest units.
func age(d time.Duration) string {
	s := int64(max(d, 0) / time.Second)
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%ds", s/60, s%60)
	case s < 86400:
		return fmt.Sprintf("%dh%dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%dh", s/86400, s/3600%24)
}
