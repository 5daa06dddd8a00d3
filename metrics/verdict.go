package metrics

import (
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/syncwire"
)

var verdicts = []string{syncwire.SyncYes.String(), syncwire.SyncNo.String(), syncwire.SyncAlone.String()}

// reasonCodes are the possible codes of a reason against a takeover. warningCodes are those of a warning.
var (
	reasonCodes = codes(
		replication.NotRunning, replication.ModuleSilent, replication.ModuleDrops, replication.Alone, replication.LinkDown, replication.FullSync,
		replication.Listening, replication.MappingsBlock, replication.SettingsDiffer, replication.CountersDiffer, replication.TableTooLarge,
		replication.NotGreeted, replication.NeverCompared, replication.SessionsMissing, replication.DatagramsMissing, replication.NumbersFall,
		replication.BehindOther, replication.DeadOrigin, replication.SecurityDiffers, replication.KeyMissing,
	)
	warningCodes = codes(
		replication.Lags, replication.UnlistedSender, replication.PathMTU, replication.SecurityDiffers, replication.KeyMissing, replication.PeerLacksKey, replication.OneWay, replication.ClearRefused,
		replication.SealedRefused, replication.Forged, replication.Replayed, replication.UnknownKey,
	)
	// securities are the values of "security".
	securities = []string{syncwire.SecurityOff.String(), syncwire.SecurityAccept.String(), syncwire.SecuritySend.String(), syncwire.SecurityRequire.String()}
)

func codes(list ...replication.Code) (names []string) {
	for _, code := range list {
		names = append(names, string(code))
	}
	return names
}

var verdictSection = Section{
	Title: "Verdict",
	Text:  "Can the active host die now? Ask the standby: `joolctl_ready == 1`. [json.md](json.md#codes-of-reasons) describes the codes.",
	Families: []Family{
		{Name: "joolctl_synced", Type: Gauge, Labels: []Label{{"synced", verdicts}},
			Help: "The verdict: yes if the table has all sessions of the live peers' tables, no if not, alone if no live peer can tell.",
			pair: func(e *encoder, r *supervisor.Row) { oneOf(e, verdicts, r.Synced) }},
		{Name: "joolctl_ready", Type: Gauge, Help: "Whether it is safe to fail over to this host's instance now, as the command `joolctl ready` says without options.",
			pair: func(e *encoder, r *supervisor.Row) { e.truth(len(r.Reasons) == 0) }},
		{Name: "joolctl_reason", Type: Gauge, Labels: []Label{{"code", reasonCodes}}, Help: "Whether there is a reason with this code why the host is not ready to take over.",
			pair: func(e *encoder, r *supervisor.Row) { present(e, reasonCodes, r.Reasons) }},
		{Name: "joolctl_warning", Type: Gauge, Labels: []Label{{"code", warningCodes}}, Help: "Whether there is a warning with this code. It does not keep this host from taking over.",
			pair: func(e *encoder, r *supervisor.Row) { present(e, warningCodes, r.Warnings) }},
		{Name: "joolctl_live_peers", Type: Gauge, Unit: "peers", Help: "How many peers are live.",
			pair: func(e *encoder, r *supervisor.Row) { e.count(livePeers(r, "")) }},
		{Name: "joolctl_complete_peers", Type: Gauge, Unit: "peers", Help: "How many live peers say that their table is complete: one of them can take over.",
			pair: func(e *encoder, r *supervisor.Row) { e.count(livePeers(r, verdicts[0])) }},
		{Name: "joolctl_differing_counters", Type: Gauge, Unit: "counters", Help: "How many pairs of counters should agree and do not.",
			pair: func(e *encoder, r *supervisor.Row) { e.count(uint64(len(r.DifferingCounters))) }},
	},
}

// present writes a sample for each code: 1 if one of the reasons has it, else 0.
func present(e *encoder, codes []string, reasons []replication.Reason) {
	for _, code := range codes {
		found := false
		for i := range reasons {
			found = found || string(reasons[i].Code) == code
		}
		e.truth(found, code)
	}
}

// livePeers counts the live peers that have a verdict. If synced is "", it counts all live peers.
func livePeers(r *supervisor.Row, synced string) (n uint64) {
	for i := range r.Peers {
		if p := &r.Peers[i]; p.Live && (synced == "" || p.Synced == synced) {
			n++
		}
	}
	return n
}
