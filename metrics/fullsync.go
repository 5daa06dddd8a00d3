package metrics

import "joolctl/supervisor"

var syncResults = []string{"stored", "unanswered", "interrupted", "too_large"}

var syncSection = Section{
	Title: "Full syncs",
	Text:  "The metrics of the last full sync are missing before the first one.",
	Families: []Family{
		{Name: "joolctl_full_syncs_total", Type: Counter, Unit: "syncs", Labels: []Label{{"result", syncResults}},
			Help: "Full syncs that this host received or requested, by their result. An interrupted one may end later.",
			pair: func(e *encoder, r *supervisor.Row) {
				for i, n := range [...]uint64{r.FullSyncs.Stored, r.FullSyncs.Unanswered, r.FullSyncs.Interrupted, r.FullSyncs.TooLarge} {
					e.count(n, syncResults[i])
				}
			}},
		{Name: "joolctl_full_sync_active", Type: Gauge, Help: "Whether this host receives a full sync, or is about to request one.",
			pair: func(e *encoder, r *supervisor.Row) { e.truth(r.FullSync != nil) }},
		{Name: "joolctl_full_sync_incomplete", Type: Gauge, Help: "Whether this host receives a full sync because it lacks sessions, or may lack some.",
			pair: func(e *encoder, r *supervisor.Row) { e.truth(r.FullSync != nil && r.FullSync.Incomplete) }},
		progress("done", "How many sessions the present phase of the full sync has received or injected.", func(f *supervisor.FullSyncProgress) int { return f.DoneSessions }),
		progress("total", "How many sessions the present phase of the full sync is going to receive or inject; 0 if that is not known yet.",
			func(f *supervisor.FullSyncProgress) int { return f.TotalSessions }),
		last("timestamp", "seconds", "When the last full sync ended, in seconds since 1970.", func(f *supervisor.FullSync) float64 { return timestamp(f.At) }),
		last("duration", "seconds", "The time from the peer's first message to the end of the last full sync.", func(f *supervisor.FullSync) float64 { return f.Seconds }),
		last("receiving", "seconds", "The part of that time that sessions arrived in.", func(f *supervisor.FullSync) float64 { return f.Receiving }),
		last("comparing", "seconds", "The part of that time that both tables were compared in.", func(f *supervisor.FullSync) float64 { return f.Comparing }),
		last("injecting", "seconds", "The part of that time that sessions were given to the module in.", func(f *supervisor.FullSync) float64 { return f.Injecting }),
		last("received", "sessions", "How many sessions the peer sent in the last full sync.", func(f *supervisor.FullSync) float64 { return float64(f.Received) }),
		last("own", "sessions", "How many sessions this host's table had before the last full sync.", func(f *supervisor.FullSync) float64 { return float64(f.Own) }),
		last("injected", "sessions", "How many sessions of the last full sync were given to the module.", func(f *supervisor.FullSync) float64 { return float64(f.Injected) }),
		last("collided", "sessions", "How many sessions of the last full sync the module refused without an error.", func(f *supervisor.FullSync) float64 { return float64(f.Collided) }),
		last("returned", "sessions", "How many sessions were sent back in the last full sync because the peer lacked them.", func(f *supervisor.FullSync) float64 { return float64(f.Returned) }),
		last("replaced_bib", "entries", "How many BIB entries the last full sync removed because the peer's were newer.", func(f *supervisor.FullSync) float64 { return float64(f.Replaced) }),
	},
}

// progress returns a family of the full sync under way.
func progress(name, help string, value func(*supervisor.FullSyncProgress) int) Family {
	return Family{Name: "joolctl_full_sync_" + name + "_sessions", Type: Gauge, Unit: "sessions", Help: help, pair: func(e *encoder, r *supervisor.Row) {
		n := 0
		if r.FullSync != nil {
			n = value(r.FullSync)
		}
		e.count(uint64(max(n, 0)))
	}}
}

// last returns a family of the last full sync.
func last(name, unit, help string, value func(*supervisor.FullSync) float64) Family {
	return Family{Name: "joolctl_last_full_sync_" + name + "_" + unit, Type: Gauge, Unit: unit, Help: help, pair: func(e *encoder, r *supervisor.Row) {
		if r.LastFullSync != nil {
			e.number(value(r.LastFullSync))
		}
	}}
}
