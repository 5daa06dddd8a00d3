package guest

// StandbyRow is one row of the table of standbys in docs/benchmarks.md.
type StandbyRow struct {
	Jool                 string // on both hosts, or on the active one and on the standby
	What, Upstream, Ours string
}
