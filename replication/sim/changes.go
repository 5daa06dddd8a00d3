package sim

import "math/bits"

// idSet is a set of numbers that the Ledger has given to sessions.
type idSet struct {
	words []uint64
	len   int
}

// set adds a number, or removes it.
func (s *idSet) set(id int, in bool) {
	word, bit := id/64, uint64(1)<<(id%64)
	if word >= len(s.words) {
		if !in {
			return
		}
		s.words = append(s.words, make([]uint64, word+1-len(s.words))...)
	}
	switch was := s.words[word]&bit != 0; {
	case in && !was:
		s.words[word] |= bit
		s.len++
	case !in && was:
		s.words[word] &^= bit
		s.len--
	}
}

// has reports whether a number is in the set.
func (s *idSet) has(id int) bool {
	return id/64 < len(s.words) && s.words[id/64]>>(id%64)&1 != 0
}

// all yields the numbers in ascending order.
func (s *idSet) all(yield func(int) bool) {
	for i, word := range s.words {
		for ; word != 0; word &= word - 1 {
			if !yield(64*i + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// changes are the sessions of a module that have changed since the Truth has compared them.
type changes struct {
	ids   []int
	noted idSet
}

// note adds a session.
func (c *changes) note(id int) {
	if id == phantom || c.noted.has(id) {
		return
	}
	c.noted.set(id, true)
	c.ids = append(c.ids, id)
}

// take appends the sessions to ids, and forgets them.
func (c *changes) take(ids []int) []int {
	ids = append(ids, c.ids...)
	for _, id := range c.ids {
		c.noted.set(id, false)
	}
	c.ids = c.ids[:0]
	return ids
}
