package lab

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// compareVersions orders dotted versions by their numbers, so 4.1.9 < 4.1.13. A part that is no number sorts before
// numbers, by its text; of two versions that agree as far as the shorter goes, the shorter is the older.
func compareVersions(a, b string) int {
	return slices.CompareFunc(strings.Split(a, "."), strings.Split(b, "."), comparePart)
}

func comparePart(a, b string) int {
	x, errX := strconv.ParseUint(a, 10, 64)
	y, errY := strconv.ParseUint(b, 10, 64)
	switch {
	case errX == nil && errY == nil:
		return cmp.Compare(x, y)
	case errX == nil:
		return 1
	case errY == nil:
		return -1
	default:
		return strings.Compare(a, b)
	}
}
