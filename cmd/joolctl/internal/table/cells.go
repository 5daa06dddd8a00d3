package table

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"joolctl/supervisor"
)

// instance is an instance and its namespace.
func instance(row *supervisor.Row) string {
	if row.Namespace == "" {
		return Cell(row.Instance)
	}
	return Cell(row.Instance + "@" + row.Namespace)
}

// Synced is the verdict, with the progress of a full sync that the table needs.
func Synced(row *supervisor.Row) string {
	if f := row.FullSync; f != nil && f.Incomplete && f.TotalSessions > 0 {
		return fmt.Sprintf("no %d %%", f.Percent())
	}
	return Cell(row.Synced)
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

// lagUnknown is shown where a live peer's lag is not known.
const lagUnknown = "?"

// lag is how far the live peer that is furthest behind is behind: "-" without a live peer, "?" if that is not known.
func lag(row *supervisor.Row) string {
	if l := row.Lag; l != nil {
		return lagText(*l)
	}
	for _, peer := range row.Peers {
		if peer.Live && peer.Lost != nil {
			return lagUnknown
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
	return Age(time.Duration(s * float64(time.Second)))
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

// Cell is text that can't upset a table or a terminal; "-" for none.
func Cell(text string) string {
	if text == "" {
		return "-"
	}
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(text) {
		return strconv.Quote(text)
	}
	return text
}

func number(n uint64) string { return strconv.FormatUint(n, 10) }

// Age is a duration in its two largest units.
func Age(d time.Duration) string {
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

// Count is a number and its noun.
func Count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
