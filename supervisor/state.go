package supervisor

// State is the state of a pair's worker.
type State string

const (
	// Running: the worker synchronises. If the newest files are not in use, a reason says why.
	Running State = "running"
	// Waiting: something outside joolctl is missing. The worker starts without help once it exists.
	Waiting State = "waiting"
	// Backoff: the worker failed and is tried again.
	Backoff State = "backoff"
	// Failed: the pair's files must change before a worker can start.
	Failed State = "failed"
)

// Condition is a worker's state with its reason.
type Condition struct {
	State State
	// Reason is one line for the operator; empty while running.
	Reason string
	// Restarts counts how often the worker was started again after it had run or failed. Checks for a missing item do
	// not count.
	Restarts int
	// Worker is the running worker; nil in the other states.
	Worker Worker
}
