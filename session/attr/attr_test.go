package attr

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// attrsAt is where the attributes of Jool's messages begin: after nlmsghdr, genlmsghdr and Jool's header.
const attrsAt = 16 + 4 + 28

// FuzzEach begins with the attributes of captured messages.
func FuzzEach(f *testing.F) {
	files, err := filepath.Glob("../../joolnl/testdata/jool-*/netlink-*.txt")
	if err != nil || len(files) == 0 {
		f.Fatalf("no captures: %v", err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			_, message, ok := strings.Cut(strings.TrimSpace(line), " | ")
			if !ok || line[0] == '#' {
				continue
			}
			b, err := hex.DecodeString(message)
			if err != nil {
				f.Fatalf("%s: %v", file, err)
			}
			f.Add(b[attrsAt:])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		total := 0
		err := Each(b, func(typ int, payload []byte) error {
			if typ < 0 || typ > typeMask {
				t.Errorf("type %#x", typ)
			}
			total += HeaderLen + len(payload)
			return nil
		})
		if total > len(b) {
			t.Errorf("%d bytes in %d, %v", total, len(b), err)
		}
	})
}
