package main

// found has, for each mutation, a seed whose simulation finds it, if one is known. That seed is tried first. If it does not find the
// mutation any more, because the code or the simulation has changed, others are tried.
var found = map[string]int{
	"absence-ignored":           711,
	"checkpoint-of-another":     50,
	"comparison-ignores-state":  9,
	"comparison-reversed":       8,
	"dead-origins-ignored":      50,
	"doubt-forgets-nothing":     61,
	"drops-keep-generation":     185,
	"greeting-ignored":          273,
	"held-updates-dropped":      5,
	"hold-omitted":              711,
	"late-datagrams-accepted":   73,
	"late-retransmission-wins":  1652,
	"lost-datagrams-forgotten":  20,
	"merge-at-begin":            42,
	"merge-of-unknown":          63,
	"merge-overwrites":          311,
	"nack-never-sent":           63,
	"no-memory-no-doubt":        61,
	"off-by-one-in-last":        729,
	"overrun-keeps-generation":  28,
	"pending-for-ever":          24,
	"retransmission-not-aged":   10,
	"sequence-jump-for-ever":    5,
	"start-keeps-generation":    93,
	"sync-clears-all-losses":    63,
	"takeover-keeps-generation": 903,
}
