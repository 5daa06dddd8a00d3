package nsthread

// Scratch is memory that all users of a thread share, since only one of them
// runs at a time: buffers, say. It is made by the caller's function, or was by
// another thread's: all users of a pool want the same. It is the caller's until
// what it runs in (a function that watches, a timer's, one that was posted)
// returns. To be called on the thread.
func (t *Thread) Scratch(make func() any) any {
	if t.scratch == nil {
		if t.scratch = t.pool.scratch.Get(); t.scratch == nil {
			t.scratch = make()
		}
	}
	return t.scratch
}

// returnScratch lends the memory to other threads: most of them wait most of the
// time.
func (t *Thread) returnScratch() {
	if t.scratch != nil {
		t.pool.scratch.Put(t.scratch)
		t.scratch = nil
	}
}
