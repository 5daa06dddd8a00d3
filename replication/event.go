package replication

// Event is something that an operator or the process should know of: one of the types in this file.
type Event interface{ event() }

// TableUnread says that the module's session table could not be read.
type TableUnread struct{ Err error }

// TableReleased says that the memory of a session table is not used any more.
type TableReleased struct{ Sessions int }

// SessionUnfit says that a session of a peer's table has no form for the module.
type SessionUnfit struct{ Err error }

func (TableUnread) event()   {}
func (TableReleased) event() {}
func (SessionUnfit) event()  {}
