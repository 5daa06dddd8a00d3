package guest

// StandbyRow is one row of the table of standbys in docs/benchmarks.md.
type StandbyRow struct {
	Jool                 string // version on both hosts, or on the active host and on the standby
	What, Upstream, Ours string
}
