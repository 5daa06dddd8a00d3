package configdir

import (
	"fmt"
	"strings"
)

// unknownKey returns the message about a key that the file must not have.
func unknownKey(name string, of kind) string {
	for _, other := range kinds {
		if other != of && find(name, other) != nil {
			return fmt.Sprintf("this key belongs in the other file; move it to the pair's %s file", other)
		}
	}
	near := nearest(name, of)
	switch {
	case near == nil:
		return fmt.Sprintf("unknown key; remove it, or write one of %s's: %s", of, list(of))
	case near.of != of:
		return fmt.Sprintf("unknown key; if %q is meant, write it in the pair's %s file", near.name, near.of)
	}
	return fmt.Sprintf("unknown key; write %q", near.name)
}

// nearest returns the key with the most similar name, or nil if no name is similar. Of equally similar names it
// prefers that of the same file.
func nearest(name string, of kind) *key {
	if len(name) > longest {
		return nil
	}
	name = strings.ToLower(name)
	limit := max(2, len(name)/3)
	var best *key
	for _, own := range []bool{true, false} {
		for i := range keys {
			k := &keys[i]
			if (k.of == of) != own || len(name) < 2 {
				continue
			}
			if d := distance(name, k.name); d <= limit {
				best, limit = k, d-1
			}
		}
	}
	return best
}

func list(of kind) string {
	var names []string
	for _, k := range keys {
		if k.of == of {
			names = append(names, fmt.Sprintf("%q", k.name))
		}
	}
	return strings.Join(names, ", ")
}

// distance returns the Levenshtein distance: the number of bytes to insert, delete or change.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
