package guest

// StandbyRow is one row of the table of what a standby comes to hold.
type StandbyRow struct {
	What, Upstream, Ours string
}
