package joolnl

import (
	"encoding/binary"
	"slices"
	"strings"

	"joolctl/session"
	"joolctl/session/attr"
)

// moduleCounters are the names of the counters of all versions of the module, in the order of their numbers. No
// version has all of them (see lacks). The order is that of src/common/stats.h in the module's sources, 4.1.0 to
// 4.2.0-rc3.
var moduleCounters = [...]string{
	"JSTAT_RECEIVED6", "JSTAT_RECEIVED4", "JSTAT_SUCCESS", "JSTAT_BIB_ENTRIES", "JSTAT_SESSIONS", "JSTAT_ENOMEM",
	"JSTAT_XLATOR_DISABLED", "JSTAT_POOL6_UNSET", "JSTAT_SKB_SHARED", "JSTAT_L3HDR_OFFSET", "JSTAT_SKB_TRUNCATED",
	"JSTAT_FRAGMENTED_PING", "JSTAT_HDR6", "JSTAT_HDR4", "JSTAT_UNKNOWN_L4_PROTO", "JSTAT_UNKNOWN_ICMP6_TYPE",
	"JSTAT_UNKNOWN_ICMP4_TYPE", "JSTAT_DOUBLE_ICMP6_ERROR", "JSTAT_DOUBLE_ICMP4_ERROR", "JSTAT_UNKNOWN_PROTO_INNER",
	"JSTAT_HAIRPIN_LOOP", "JSTAT_POOL6_MISMATCH", "JSTAT_POOL4_MISMATCH", "JSTAT_ICMP6_FILTER",
	"JSTAT_UNTRANSLATABLE_DST6", "JSTAT_UNTRANSLATABLE_DST4", "JSTAT_6056_F", "JSTAT_MASK_DOMAIN_NOT_FOUND",
	"JSTAT_BIB6_NOT_FOUND", "JSTAT_BIB4_NOT_FOUND", "JSTAT_SESSION_NOT_FOUND", "JSTAT_ADF", "JSTAT_V4_SYN",
	"JSTAT_SYN6_EXPECTED", "JSTAT_SYN4_EXPECTED", "JSTAT_TYPE1PKT", "JSTAT_TYPE2PKT", "JSTAT_SO_EXISTS",
	"JSTAT_SO_FULL", "JSTAT64_SRC", "JSTAT64_DST", "JSTAT64_PSKB_COPY", "JSTAT64_6791_ENOENT", "JSTAT64_ICMP_CSUM",
	"JSTAT64_UNTRANSLATABLE_PARAM_PROB_PTR", "JSTAT64_TTL", "JSTAT64_FRAGMENTED_ICMP", "JSTAT64_2XFRAG",
	"JSTAT64_FRAG_THEN_EXT", "JSTAT64_SEGMENTS_LEFT", "JSTAT46_SRC", "JSTAT46_DST", "JSTAT46_PSKB_COPY",
	"JSTAT46_6791_ENOENT", "JSTAT46_ICMP_CSUM", "JSTAT46_UNTRANSLATABLE_PARAM_PROBLEM_PTR", "JSTAT46_TTL",
	"JSTAT46_FRAGMENTED_ICMP", "JSTAT46_SRC_ROUTE", "JSTAT46_FRAGMENTED_ZERO_CSUM", "JSTAT46_BAD_MTU",
	"JSTAT_FAILED_ROUTES", "JSTAT_PKT_TOO_BIG", "JSTAT_DST_OUTPUT", "JSTAT_ICMP6ERR_SUCCESS", "JSTAT_ICMP6ERR_FAILURE",
	"JSTAT_ICMP4ERR_SUCCESS", "JSTAT_ICMP4ERR_FAILURE", "JSTAT_ICMPEXT_SMALL", "JSTAT_ICMPEXT_BIG", "JSTAT_MAPT_ADDR4",
	"JSTAT_MAPT_PSID", "JSTAT_MAPT_POOL6", "JSTAT_MAPT_EUI6P", "JSTAT_MAPT_FMR6", "JSTAT_MAPT_FMR4",
	"JSTAT_MAPT_BAD_PRPF", "JSTAT_JOOLD_EMPTY", "JSTAT_JOOLD_TIMEOUT", "JSTAT_JOOLD_MISSING_ACK",
	"JSTAT_JOOLD_AD_ONGOING", "JSTAT_JOOLD_FLUSH_ASAP", "JSTAT_JOOLD_PKT_FULL", "JSTAT_JOOLD_QUEUING",
	"JSTAT_JOOLD_SSS_QUEUED", "JSTAT_JOOLD_SSS_SENT", "JSTAT_JOOLD_SSS_RCVD", "JSTAT_JOOLD_SSS_ENOSPC",
	"JSTAT_JOOLD_PKT_SENT", "JSTAT_JOOLD_PKT_RCVD", "JSTAT_JOOLD_ADS", "JSTAT_JOOLD_ACKS", "JSTAT_UNKNOWN",
}

// CounterNames returns the names of the counters of all versions of the module.
func CounterNames() []string { return slices.Clone(moduleCounters[:]) }

// IsGauge reports whether a counter of the module can decrease: it is the number of entries that a table has at the moment.
func IsGauge(name string) bool { return name == "JSTAT_BIB_ENTRIES" || name == "JSTAT_SESSIONS" }

// lacks reports whether the module has no counter of this name.
func (v Version) lacks(name string) bool {
	early := v.next() && v.earlyNext() || !v.next() && v.revision() < 8
	switch name {
	case "JSTAT_FRAGMENTED_PING":
		return !v.next() && v.revision() >= 8
	case "JSTAT64_FRAGMENTED_ICMP", "JSTAT64_2XFRAG", "JSTAT46_FRAGMENTED_ICMP":
		return early
	case "JSTAT_ICMPEXT_SMALL":
		return !v.next() && v.revision() >= 9
	case "JSTAT_JOOLD_FLUSH_ASAP":
		return v.Format() != session.Packed52
	}
	switch {
	case strings.HasPrefix(name, "JSTAT_MAPT_"):
		return !v.next()
	case strings.HasPrefix(name, "JSTAT_JOOLD_"):
		return v.Format() == session.Nested
	}
	return false
}

// counterPlaces maps counter numbers to counters: element n is the index in moduleCounters of the module's
// counter number n.
func (v Version) counterPlaces() []uint8 {
	places := []uint8{0} // the number 0 is unused
	for i, name := range moduleCounters {
		if !v.lacks(name) {
			places = append(places, uint8(i))
		}
	}
	return places
}

// ModuleCounters are all counters of an instance, as many as its module has.
type ModuleCounters struct {
	values [len(moduleCounters)]uint64
	has    [len(moduleCounters)]bool
	// Unnamed are the counters of a module that is newer than CounterNames.
	Unnamed []UnnamedCounter
}

// UnnamedCounter is a counter of which joolctl knows only the number.
type UnnamedCounter struct {
	Number int
	Value  uint64
}

// Get returns the value of the counter CounterNames()[i], and false if the module has no such counter.
func (c *ModuleCounters) Get(i int) (value uint64, ok bool) { return c.values[i], c.has[i] }

// ParseCounters decodes the attributes of the reply to a STATS_FOREACH.
func (v Version) ParseCounters(attrs []byte) (c ModuleCounters, err error) {
	places := v.counterPlaces()
	err = attr.Each(attrs, func(number int, p []byte) error {
		switch {
		case len(p) != 8 || number < 1:
		case number < len(places):
			c.values[places[number]], c.has[places[number]] = binary.NativeEndian.Uint64(p), true
		case len(c.Unnamed) < maxUnnamed:
			c.Unnamed = append(c.Unnamed, UnnamedCounter{number, binary.NativeEndian.Uint64(p)})
		}
		return nil
	})
	return c, err
}

// maxUnnamed bounds ModuleCounters.Unnamed.
const maxUnnamed = 32

// AskCounters reads all counters of the instance.
func (c *Conn) AskCounters() (counters ModuleCounters, err error) {
	err = c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Stats(dst, seq), nil }, func(m Message) error {
		var err error
		counters, err = c.Version.ParseCounters(m.Attrs)
		return err
	})
	return counters, err
}
