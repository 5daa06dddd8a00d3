package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

type tableOptions struct {
	now     time.Time
	colours bool
	wide    bool
}

// writeTable shows one row a worker, totals below, and then why some are not
// as they should be.
func writeTable(w io.Writer, s supervisor.Status, o tableOptions) error {
	var out bytes.Buffer
	rows := [][]string{{"NAME", "NAMESPACE", "INSTANCE", "STATE", "SYNCED", "SENT", "RCVD", "LOST", "PEERS", "SINCE"}}
	if o.wide {
		rows[0] = append(rows[0], "RESTARTS")
	}
	lost := uint64(0)
	for _, row := range s.Workers {
		rows = append(rows, cells(row, o))
		lost += lostBy(row)
	}
	rows = append(rows, []string{"total", "", "", "", "",
		number(s.Totals.NetSentPackets), number(s.Totals.NetRcvdPackets), number(lost)})
	writeRows(&out, rows, s.Workers, o.colours)
	fmt.Fprintf(&out, "\n%s\n", states(s.Workers))
	if s.Reason != "" {
		fmt.Fprintf(&out, "%s\n", s.Reason)
	}
	for _, row := range s.Workers {
		if row.Reason != "" {
			fmt.Fprintf(&out, "%s: %s\n", row.Name, row.Reason)
		}
		for _, reason := range row.Reasons {
			if reason.Code != replication.NotRunning && reason.Code != replication.FullSync { // the lines before and below say it
				fmt.Fprintf(&out, "%s: %s\n", row.Name, reason.Line(o.now))
			}
		}
		if e := row.Exposure; e != nil && e.Refused != "" {
			fmt.Fprintf(&out, "%s: \"tune ss\" has no effect, because the module refuses other settings: %s\n", row.Name, e.Refused)
		}
		if row.Resync != "" {
			fmt.Fprintf(&out, "%s: resync: %s\n", row.Name, row.Resync)
		}
		if a := row.Advertise; a != nil && (o.wide || !a.Ended || a.Error != "") {
			fmt.Fprintf(&out, "%s: advertise: %v\n", row.Name, a)
		}
		if o.wide {
			writeDetails(&out, row, o.now)
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

func cells(row supervisor.Row, o tableOptions) []string {
	c := []string{
		cell(row.Name), cell(row.Namespace), cell(row.Instance), cell(string(row.State)), cell(row.Synced),
		number(row.Stats.NetSentPackets), number(row.Stats.NetRcvdPackets), number(lostBy(row)),
		heard(row.Peers), age(o.now.Sub(row.Since)),
	}
	if o.wide {
		c = append(c, strconv.Itoa(row.Restarts))
	}
	return c
}

// lostBy adds up what is known to be lost: all losses but what a newer peer
// said (nothing that we could miss).
func lostBy(row supervisor.Row) uint64 {
	l := row.Losses
	return l.KernelDropped + max(l.NetlinkOverruns, l.NetlinkLost) + l.NetworkLost + l.SocketDrops + l.Malformed +
		l.Untranslated + l.Collisions + l.KernelErrors + l.SendErrors
}

// heard is the number of peers and how long ago the most silent one was heard.
func heard(peers []supervisor.Peer) string {
	if len(peers) == 0 {
		return "0"
	}
	oldest := int64(0)
	for _, peer := range peers {
		oldest = max(oldest, peer.LastHeardSeconds)
	}
	return fmt.Sprintf("%d (%s)", len(peers), age(time.Duration(oldest)*time.Second))
}

// writeDetails shows the peers, the last resync, what became of the sessions,
// and the kernel's counters, one to a line.
func writeDetails(out *bytes.Buffer, row supervisor.Row, now time.Time) {
	for _, peer := range row.Peers {
		fmt.Fprintf(out, "%s: peer %s: %s, heard %s ago\n", row.Name, peer.Address, whatIs(peer),
			age(time.Duration(peer.LastHeardSeconds)*time.Second))
	}
	if e := row.Exposure; e != nil {
		fmt.Fprintf(out, "%s: exposure: %s\n", row.Name, exposure(*e))
	}
	if r := row.LastResync; r != nil {
		fmt.Fprintf(out, "%s: last resync: %s ago, from %s (%s) in %v: got %d, had %d, injected %d, replaced %d, collisions %d, gave back %d\n",
			row.Name, age(now.Sub(r.At)), r.From, r.Why, r.Took.Round(time.Millisecond), r.Got, r.Had, r.Injected, r.Replaced, r.Collisions, r.GaveBack)
	}
	for _, part := range []struct{ name, text string }{
		{"out", wayOut(row.Ledger)}, {"in", wayIn(row.Ledger)}, {"losses", losses(row.Losses)},
	} {
		if part.text != "" {
			fmt.Fprintf(out, "%s: %s: %s\n", row.Name, part.name, part.text)
		}
	}
	if len(row.Kernel) > 0 {
		var counters []string
		for _, name := range slices.Sorted(maps.Keys(row.Kernel)) {
			counters = append(counters, fmt.Sprintf("%s %d", name, row.Kernel[name]))
		}
		fmt.Fprintf(out, "%s: kernel: %s\n", row.Name, strings.Join(counters, ", "))
	}
}

// exposure says how long a new session exists on this host only, and what makes that shorter.
func exposure(e supervisor.Exposure) string {
	text := "the module reports a new session at once"
	if e.AtMostSeconds > 0 {
		text = fmt.Sprintf("the module reports a new session after %v at most", time.Duration(e.AtMostSeconds*float64(time.Second)).Round(time.Millisecond))
	}
	if e.Remedy != "" {
		text += "; for milliseconds " + e.Remedy
	}
	return text
}

// whatIs describes a peer.
func whatIs(peer supervisor.Peer) string {
	switch {
	case peer.Lost == nil:
		return "upstream joold, cannot tell"
	case peer.Sessions == nil:
		return fmt.Sprintf("has not introduced itself yet, lost %d, repaired %d", *peer.Lost, *peer.Repaired)
	}
	text := fmt.Sprintf("%s, Jool %s, synced %s, %s, lost %d, repaired %d", cell(peer.Software), peer.Version, peer.Synced,
		count(int(*peer.Sessions), "session", "sessions"), *peer.Lost, *peer.Repaired)
	if len(peer.Differs) > 0 {
		text += ", differs in " + strings.Join(peer.Differs, " and ")
	}
	return text
}

// wayOut accounts for sessions on their way to the peers, wayIn from them.
func wayOut(l worker.Ledger) string {
	return named([]counter{
		{"reported", l.Reported}, {"coalesced", l.Coalesced}, {"refreshed", l.Refreshed}, {"sent", l.Sent}, {"unsent", l.Unsent},
		{"repeated", l.Repeated}, {"advertised", l.Advertised},
	})
}

func wayIn(l worker.Ledger) string {
	return named([]counter{
		{"received", l.Received}, {"repaired", l.Repaired}, {"translated", l.Translated}, {"cut", l.Cut}, {"injected", l.Injected},
		{"ignored", l.Ignored}, {"given", l.Given},
	})
}

func losses(l worker.Losses) string {
	return named([]counter{
		{"kernel dropped", l.KernelDropped}, {"netlink lost", l.NetlinkLost}, {"netlink overruns", l.NetlinkOverruns},
		{"network lost", l.NetworkLost}, {"written off", l.WrittenOff}, {"socket drops", l.SocketDrops}, {"malformed", l.Malformed},
		{"untranslated", l.Untranslated}, {"collisions", l.Collisions}, {"not understood", l.NotUnderstood},
		{"kernel errors", l.KernelErrors}, {"send errors", l.SendErrors},
	})
}

type counter struct {
	name string
	n    uint64
}

// named lists those that are not 0.
func named(counters []counter) string {
	var parts []string
	for _, c := range counters {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", c.name, c.n))
		}
	}
	return strings.Join(parts, ", ")
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

// writeRows aligns the rows: the head, the workers', the total.
func writeRows(out *bytes.Buffer, rows [][]string, workers []supervisor.Row, colour bool) {
	const state, firstNumber, lastNumber = 3, 5, 7
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, text := range row {
			width[i] = max(width[i], utf8.RuneCountInString(text))
		}
	}
	for r, row := range rows {
		var line strings.Builder
		for i, text := range row {
			padding := strings.Repeat(" ", width[i]-utf8.RuneCountInString(text))
			switch {
			case i >= firstNumber && i <= lastNumber:
				text = padding + text
			case i == state && colour && r > 0 && r <= len(workers):
				text = colours[workers[r-1].State] + text + colourEnd + padding
			default:
				text += padding
			}
			line.WriteString(text + "  ")
		}
		fmt.Fprintln(out, strings.TrimRight(line.String(), " "))
	}
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
