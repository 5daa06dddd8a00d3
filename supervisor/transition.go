package supervisor

// transition is a way from one state to another.
type transition struct {
	// from is "" for a pair that has just appeared.
	from, to State
	// when says what moves a pair that way.
	when string
}

// transitions are all of them. docs/architecture.md draws them, and a test
// compares. A pair goes from every state when its files go.
var transitions = []transition{
	{"", Waiting, "good files"},
	{"", Failed, "bad files, or in conflict with another pair"},
	{Waiting, Running, "it listens both ways"},
	{Waiting, Backoff, "it could not start"},
	{Waiting, Failed, "files broken before it ever ran"},
	{Running, Waiting, "something is missing, or it is started anew (restart, other files)"},
	{Running, Backoff, "it failed or panicked"},
	{Backoff, Running, "the next try went well"},
	{Backoff, Waiting, "something is missing, or it is started anew (restart, other files)"},
	{Backoff, Failed, "files broken before it ever ran"},
	{Failed, Waiting, "files repaired, or the conflict is over"},
}

// foreseen reports whether a pair may go from one state to another.
func foreseen(from, to State) bool {
	for _, t := range transitions {
		if t.from == from && t.to == to {
			return true
		}
	}
	return false
}
