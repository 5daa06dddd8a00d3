package table

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"joolctl/supervisor"
)

// Detail is a line about a pair.
type Detail struct{ Subject, Text string }

// Details are lines about a pair: one for each peer, its security if it has keys, the exposure, the last full sync, the sessions of each stage, and the module's
// counters.
func Details(row *supervisor.Row, now time.Time) (details []Detail) {
	add := func(subject, text string) { details = append(details, Detail{subject, text}) }
	for _, peer := range row.Peers {
		add("peer "+peer.Address, describePeer(peer))
	}
	for _, peer := range row.ConfiguredPeers {
		if !peer.Heard {
			add("peer "+peer.Address, "is configured, and has not been heard")
		}
	}
	if u := row.UnlistedSender; u != nil {
		add("unlisted "+u.Address, fmt.Sprintf("has sent %s ago and is not among the configured peers; a peer may send from an unlisted address",
			Age(time.Duration(u.LastHeardSeconds*float64(time.Second)))))
	}
	if len(row.KeyIDs) > 0 {
		add("security", keysOf(row.Security, row.KeyIDs))
	}
	if e := row.Exposure; e != nil {
		add("exposure", exposure(*e))
	}
	if f := row.LastFullSync; f != nil {
		add("last full sync", fmt.Sprintf("%s ago, from %s (%s) in %v: received %d sessions, had %d, injected %d, replaced %d BIB entries, collided %d, returned %d",
			Age(now.Sub(f.At)), f.From, f.Cause, f.Duration().Round(time.Millisecond), f.Received, f.Own, f.Injected, f.Replaced, f.Collided, f.Returned))
	}
	for _, part := range stages(row) {
		if text := part.String(); text != "" {
			add(part.name, text)
		}
	}
	if len(row.Kernel) > 0 {
		var counters []string
		for _, name := range slices.Sorted(maps.Keys(row.Kernel)) {
			counters = append(counters, fmt.Sprintf("%s %d", name, row.Kernel[name]))
		}
		add("module", strings.Join(counters, ", "))
	}
	return details
}

// exposure describes an Exposure in one line.
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

// keysOf describes a mode and keys: "require, keys 2 and 1".
func keysOf(mode string, ids []int) string {
	text := Cell(mode)
	for i, id := range ids {
		switch {
		case i > 0:
			text += " and "
		case len(ids) == 1:
			text += ", key "
		default:
			text += ", keys "
		}
		text += strconv.Itoa(id)
	}
	return text
}

// describePeer says what is known of a peer.
func describePeer(peer supervisor.Peer) string {
	heard := fmt.Sprintf(", heard %s ago", Age(time.Duration(peer.LastHeardSeconds*float64(time.Second))))
	if !peer.Live {
		heard += ", not live"
	}
	switch {
	case peer.Lost == nil:
		return "upstream joold, does not say what its table has" + heard
	case peer.Sessions == nil:
		return fmt.Sprintf("has sent no HELLO yet, lost %d datagrams, repaired %d", *peer.Lost, *peer.Repaired) + heard
	}
	text := fmt.Sprintf("%s, Jool %s, synced %s, %d sessions", Cell(peer.Software), peer.Version, peer.Synced, *peer.Sessions)
	if peer.Lag != nil {
		text += fmt.Sprintf(", lag %d sessions and %s", peer.Lag.Sessions, shortSeconds(peer.Lag.Seconds))
	}
	text += fmt.Sprintf(", lost %d datagrams, repaired %d", *peer.Lost, *peer.Repaired)
	if peer.Security != "" && (peer.Security != "off" || len(peer.KeyIDs) > 0) {
		text += ", security " + keysOf(peer.Security, peer.KeyIDs)
		if peer.SealingKeyID != nil {
			text += fmt.Sprintf(", seals with key %d", *peer.SealingKeyID)
		}
	}
	if len(peer.Differs) > 0 {
		text += ", differs in " + strings.Join(peer.Differs, " and ")
	}
	return text + heard
}

// stage is a group of counters.
type stage struct {
	name     string
	counters []counter
}

type counter struct {
	name string
	n    uint64
}

// String lists the counters that are not 0.
func (s stage) String() string {
	var parts []string
	for _, c := range s.counters {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", c.name, c.n))
		}
	}
	return strings.Join(parts, ", ")
}

// stages are the ledger and the losses in the order of a session's way. Each counts in one unit. The names are those of JSON.
func stages(row *supervisor.Row) []stage {
	l, x, f := row.Ledger, row.Losses, row.FullSyncs
	return []stage{
		{"sessions out", []counter{
			{"reported", l.Reported}, {"coalesced", l.Coalesced}, {"refreshed", l.Refreshed}, {"sent", l.Sent},
			{"retransmitted", l.Retransmitted}, {"advertised", l.Advertised},
		}},
		{"sessions in", []counter{
			{"received", l.Received}, {"translated", l.Translated}, {"cut", l.Cut}, {"injected", l.Injected}, {"ignored", l.Ignored}, {"given", l.Given}, {"found late", x.FoundLate},
		}},
		{"sessions lost", []counter{
			{"kernel dropped", x.KernelDropped}, {"netlink lost", x.NetlinkLost}, {"unsent", l.Unsent}, {"untranslated", x.Untranslated}, {"collided", x.Collisions},
		}},
		{"datagrams", []counter{
			{"network lost", x.NetworkLost}, {"repaired", x.Repaired}, {"written off", x.WrittenOff}, {"socket dropped", x.SocketDrops},
			{"malformed", x.Malformed}, {"unlisted", x.Unlisted}, {"not understood", x.NotUnderstood}, {"unsent", x.SendErrors},
		}},
		{"sealed", []counter{
			{"forged", x.Forged}, {"replayed", x.Replayed}, {"unknown key", x.UnknownKey}, {"unconfirmed", x.Unconfirmed}, {"throttled", x.Throttled}, {"refused clear", x.ClearRefused},
		}},
		{"full syncs", []counter{{"stored", f.Stored}, {"unanswered", f.Unanswered}, {"interrupted", f.Interrupted}, {"too large", f.TooLarge}}},
		{"errors", []counter{{"netlink overruns", x.NetlinkOverruns}, {"kernel errors", x.KernelErrors}, {"ignored claims", x.IgnoredClaims}}},
	}
}
