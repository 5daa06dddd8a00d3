package lab

// ticks is the processor's time stamp counter, which QEMU passes on to machines that don't count instructions.
func ticks() uint64
