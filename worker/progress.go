package worker

// Turns counts how often the worker's loop has done all that was due. While the worker runs, the number rises at least every
// five seconds, also without traffic. A number that stays the same means that the loop is stuck.
func (w *Worker) Turns() uint64 { return w.turns.Load() }

// InKernel reports whether the thread that the worker needs is busy inside the kernel, where nothing ends a request. See
// nsthread.Thread.
func (w *Worker) InKernel() bool {
	thread := w.thread.Load()
	return thread != nil && thread.InKernel()
}
