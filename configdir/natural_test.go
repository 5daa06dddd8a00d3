package configdir

import (
	"cmp"
	"testing"
)

func TestNaturalCompare(t *testing.T) {
	ordered := []string{
		"", "0", "00", "01", "1", "2", "10", "10a", "P1", "p", "p-1", "p0", "p01", "p1", "p1a", "p1a2", "p1a10",
		"p2", "p10", "p18446744073709551616", "p28446744073709551616", "pa", "é",
	}
	for i, a := range ordered {
		for j, b := range ordered {
			if got := NaturalCompare(a, b); got != cmp.Compare(i, j) {
				t.Errorf("NaturalCompare(%q, %q) = %d", a, b, got)
			}
		}
	}
}

// FuzzNaturalCompare checks that NaturalCompare is a total order, which sorting needs.
func FuzzNaturalCompare(f *testing.F) {
	f.Add("p1", "p01", "p1a")
	f.Add("1-", "01", "1")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		if NaturalCompare(a, b) != -NaturalCompare(b, a) {
			t.Errorf("%q, %q: not antisymmetric", a, b)
		}
		if (NaturalCompare(a, b) == 0) != (a == b) {
			t.Errorf("%q, %q: equal only in part", a, b)
		}
		if NaturalCompare(a, b) <= 0 && NaturalCompare(b, c) <= 0 && NaturalCompare(a, c) > 0 {
			t.Errorf("%q, %q, %q: not transitive", a, b, c)
		}
	})
}
