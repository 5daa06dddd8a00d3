package worker

import "fmt"

// Missing is why a worker can't run while something outside is not there: the
// module, the namespace, the instance, an interface. Whoever runs the worker
// tries again; a change of the files is not needed.
type Missing struct {
	// What is missing, in the operator's words: `instance "nat" does not exist
	// in namespace "blue"`.
	What string
	// Fix is the command that makes it.
	Fix string
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
