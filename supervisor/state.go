package supervisor

// State is what a pair's worker is about.
type State string

const (
	// Running: it synchronises. A reason says why its newest files are not
	// what runs, if they are not.
	Running State = "running"
	// Waiting: something outside is missing; it resumes by itself.
	Waiting State = "waiting"
	// Backoff: it failed and is tried again.
	Backoff State = "backoff"
	// Failed: only a changed file helps.
	Failed State = "failed"
)

// Condition is a worker's state and why it is in it.
type Condition struct {
	State State
	// Reason is one line for the operator; empty while running.
	Reason string
	// Restarts is how often the worker was started again after it had run or
	// failed. Looking again for what is missing does not count.
	Restarts int
	// Worker is the one that runs, nil in the other states.
	Worker Worker
}
