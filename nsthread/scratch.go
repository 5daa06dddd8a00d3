package nsthread

// Scratch is memory that all users of a thread share, since only one of them
// runs at a time: buffers, say. It is made at the first call, by the caller's
// function, and lives as long as the thread. To be called on the thread.
func (t *Thread) Scratch(make func() any) any {
	if t.scratch == nil {
		t.scratch = make()
	}
	return t.scratch
}
