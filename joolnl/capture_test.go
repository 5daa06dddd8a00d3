package joolnl

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp/cmpopts"

	"joolctl/session"
)

// equal compares the address types, whose fields are private, by ==.
var equal = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})

// capturePool6 is the pool6 of the captured instances.
var capturePool6 = netip.MustParsePrefix("64:ff9b::/96")

// captures are the captured versions of the module, which are the names of directories in testdata.
var captures = []Version{0x04010900, 0x04010d00, 0x04010f00}

// captured is one line of a netlink-*.txt.
type captured struct {
	toKernel bool
	op       string
	bytes    []byte
}

func captureFile(tb testing.TB, v Version, name string) string {
	tb.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		tb.Skip("the captures are of a little endian host")
	}
	text, err := os.ReadFile(filepath.Join("testdata", "jool-"+v.String(), name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(text)
}

func dataLines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			lines = append(lines, line)
		}
	}
	return lines
}

func fromHex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func readCapture(tb testing.TB, v Version, name string) []captured {
	tb.Helper()
	var list []captured
	for _, line := range dataLines(captureFile(tb, v, name)) {
		about, text, _ := strings.Cut(line, " | ")
		fields := strings.Fields(about)
		if len(fields) != 4 {
			tb.Fatalf("%v, %s: line %q", v, name, line)
		}
		list = append(list, captured{fields[1] == ">", fields[2], fromHex(tb, text)})
	}
	return list
}

func readDatagrams(tb testing.TB, v Version) [][]byte {
	tb.Helper()
	var list [][]byte
	for _, line := range dataLines(captureFile(tb, v, "datagrams.txt")) {
		list = append(list, fromHex(tb, line))
	}
	return list
}

// exchange is a request in netlink-J.txt and its replies.
type exchange struct {
	request captured
	replies []Message
	refusal error
}

// exchanges returns the requests of one operation with their replies, in order.
func exchanges(tb testing.TB, v Version, op string) []exchange {
	tb.Helper()
	var list []exchange
	waits := false
	for _, c := range readCapture(tb, v, "netlink-J.txt") {
		switch {
		case c.toKernel:
			if waits = c.op == op; waits {
				list = append(list, exchange{request: c})
			}
		case c.op == "REPLY" && waits:
			last := &list[len(list)-1]
			m, rest, err := ParseMessage(c.bytes)
			if len(rest) > 0 {
				tb.Fatalf("%v: %d bytes behind a reply to %s", v, len(rest), op)
			}
			if !bytes.Equal(c.bytes[8:12], last.request.bytes[8:12]) {
				tb.Fatalf("%v: a reply to %s has another sequence number", v, op)
			}
			last.replies, last.refusal = append(last.replies, m), err
		}
	}
	if len(list) == 0 {
		tb.Fatalf("%v: the capture has no %s", v, op)
	}
	return list
}

// only returns the single successful reply to op.
func only(tb testing.TB, v Version, op string) Message {
	tb.Helper()
	list := exchanges(tb, v, op)
	if len(list) != 1 || len(list[0].replies) != 1 || list[0].refusal != nil {
		tb.Fatalf("%v: want one %s with one reply, have %+v", v, op, list)
	}
	return list[0].replies[0]
}

// entriesOf splits a list into its entries.
func entriesOf(tb testing.TB, f session.Format, list []byte) [][]byte {
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
