package session

import (
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"
)

// equal compares the address types, whose fields are private, by ==.
var equal = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

// capturePool6 is the prefix of the instances that were captured.
var capturePool6 = netip.MustParsePrefix("64:ff9b::/96")

// capture names a directory of joolnl/testdata, which holds the messages of one version of Jool.
type capture struct {
	version string
	format  Format
}

var captures = []capture{{"4.1.9", Nested}, {"4.1.13", Packed40}, {"4.1.15", Packed40}}

// datagrams returns the captured datagrams, each a list of entries.
func (c capture) datagrams(tb testing.TB) [][]byte {
	tb.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		tb.Skip("the captures are of a little endian host")
	}
	text, err := os.ReadFile(filepath.Join("../joolnl/testdata", "jool-"+c.version, "datagrams.txt"))
	if err != nil {
		tb.Fatal(err)
	}
	var list [][]byte
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			list = append(list, fromHex(tb, line))
		}
	}
	return list
}

func fromHex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// entriesOf splits a list into its entries.
func entriesOf(tb testing.TB, f Format, list []byte) [][]byte {
	tb.Helper()
	n, err := f.CheckList(list)
	if err != nil || n*f.EntryLen() != len(list) {
		tb.Fatalf("CheckList = %d, %v for %d bytes of format %v", n, err, len(list), f)
	}
	var entries [][]byte
	for i := range n {
		entries = append(entries, list[i*f.EntryLen():][:f.EntryLen()])
	}
	return entries
}
