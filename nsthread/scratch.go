package nsthread

// Scratch returns memory that all users of a thread share, for example buffers. This is safe because only one of
// them runs at a time. The memory was made by make, either now or for another thread, so all users of a pool
// must want the same type. It belongs to the caller until the running function (a descriptor's or timer's
// function, or a posted one) returns. Scratch must be called on the thread.
func (t *Thread) Scratch(make func() any) any {
	if t.scratch == nil {
		if t.scratch = t.pool.scratch.Get(); t.scratch == nil {
			t.scratch = make()
		}
	}
	return t.scratch
}

// returnScratch returns the memory to the pool, because most threads wait most of the time and need none.
func (t *Thread) returnScratch() {
	if t.scratch != nil {
		t.pool.scratch.Put(t.scratch)
		t.scratch = nil
	}
}
