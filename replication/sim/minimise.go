package sim

// Minimise returns a part of the items with which fails still returns true, and from which no single item can be left
// out (delta debugging: Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input"). The items keep
// their order. If fails returns false for all items together, Minimise returns them all.
func Minimise[T any](items []T, fails func([]T) bool) []T {
	if !fails(items) {
		return items
	}
	if len(items) == 0 || fails(nil) {
		return nil
	}
	for parts := min(2, len(items)); len(items) > 1; {
		smaller, alone := reduce(items, parts, fails)
		switch {
		case alone:
			items, parts = smaller, 2
		case smaller != nil:
			items, parts = smaller, max(parts-1, 2)
		case parts == len(items):
			return items
		default:
			parts = min(2*parts, len(items))
		}
	}
	return items
}

// reduce cuts the items into parts. It returns one of them if that fails alone, or else the items without one of them if
// that fails, or else nil.
func reduce[T any](items []T, parts int, fails func([]T) bool) (smaller []T, alone bool) {
	bounds := func(i int) (from, to int) { return len(items) * i / parts, len(items) * (i + 1) / parts }
	for i := range parts {
		from, to := bounds(i)
		if part := items[from:to:to]; fails(part) {
			return part, true
		}
	}
	if parts == 2 {
		return nil, false // without one part there is the other
	}
	for i := range parts {
		from, to := bounds(i)
		rest := append(append(make([]T, 0, len(items)), items[:from]...), items[to:]...)
		if fails(rest) {
			return rest, false
		}
	}
	return nil, false
}
