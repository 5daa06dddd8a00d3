package supervisor

// transition is a change from one state to another.
type transition struct {
	// from is "" for a new pair.
	from, to State
	// when says which event causes the transition.
	when string
}

// transitions lists all transitions. A test compares the list with the diagram in docs/architecture.md. A pair in any
// state is removed when its files are removed.
var transitions = []transition{
	{"", Waiting, "good files"},
	{"", Failed, "bad files, or in conflict with another pair"},
	{Waiting, Running, "it listens both ways"},
	{Waiting, Backoff, "it could not start"},
	{Waiting, Failed, "files broken before it ever ran"},
	{Running, Waiting, "something is missing, or it is started again (restart, other files)"},
	{Running, Backoff, "it failed or panicked"},
	{Backoff, Running, "the next try went well"},
	{Backoff, Waiting, "something is missing, or it is started again (restart, other files)"},
	{Backoff, Failed, "files broken before it ever ran"},
	{Failed, Waiting, "files repaired, or the conflict is over"},
}

// foreseen reports whether transitions contains a transition.
func foreseen(from, to State) bool {
	for _, t := range transitions {
		if t.from == from && t.to == to {
			return true
		}
	}
	return false
}
