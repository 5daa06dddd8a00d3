package worker

import "fmt"

// Missing is why a worker can't run for now: the module, the namespace, the instance or
// an interface does not exist, or another pair has what the worker needs. Whoever runs
// the worker tries again; a change of the files is not needed.
type Missing struct {
	// What says what is missing, or taken, in the operator's words: `instance "nat" does not exist
	// in namespace "blue"`.
	What string
	// Fix is the command that makes it.
	Fix string
	// By is the name of the pair that has it; "" if no pair has.
	By  string
	Err error
}

func (m *Missing) Error() string {
	s := m.What
	if m.Err != nil {
		s += fmt.Sprintf(" (%v)", m.Err)
	}
	if m.Fix != "" {
		s += "; type: " + m.Fix
	}
	return s
}

func (m *Missing) Unwrap() error { return m.Err }
