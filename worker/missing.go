package worker

import "fmt"

// Missing is the error of a worker that cannot run at present: the module, the namespace, the instance or an interface does
// not exist, or another pair uses the instance or the socket's address. The supervisor starts the worker again once the
// resource exists; the pair's files need not change.
type Missing struct {
	// What describes the missing or occupied resource for the operator: `instance "nat" does not exist in namespace "blue"`.
	What string
	// Fix is the command that creates the resource; "" if there is no such command.
	Fix string
	// By is the name of the pair that occupies the resource; "" if no pair does.
	By string
	// Err is the cause, nil if there is none.
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
