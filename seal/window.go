package seal

const (
	// Window is how far a counter may lie behind the highest one.
	Window = 4096
	// windowWords is the length of the ring of bits. One word more than the window has room for a partly used word (RFC 6479).
	windowWords = Window/64 + 1
)

// window remembers which counters were seen. The zero value has seen none.
type window struct {
	highest uint64
	// floor is the last counter that is refused although it may not have been seen. No sender uses the counter 0.
	floor uint64
	bits  [windowWords]uint64
}

// fresh reports whether a counter was not seen, and is neither too far behind the highest one nor at or below the floor.
func (w *window) fresh(counter uint64) bool {
	switch {
	case counter <= w.floor:
		return false
	case counter > w.highest:
		return true
	case w.highest-counter >= Window:
		return false
	}
	return w.bits[counter/64%windowWords]&(1<<(counter%64)) == 0
}

// see records a fresh counter.
func (w *window) see(counter uint64) {
	if counter > w.highest {
		last, next := w.highest/64, counter/64
		for i := range min(next-last, windowWords) {
			w.bits[(next-i)%windowWords] = 0
		}
		w.highest = counter
	}
	w.bits[counter/64%windowWords] |= 1 << (counter % 64)
}

// close refuses all counters up to one that was seen, or all that were seen if that is higher.
func (w *window) close(counter uint64) { w.floor = max(w.floor, counter) }
