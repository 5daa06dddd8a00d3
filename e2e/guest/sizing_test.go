package guest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv6"
)

// TestSizing compares the bytes on the link between two hosts with the formula of docs/sizing.md, for Jool 4.1.13 and later.
func TestSizing(t *testing.T) {
	enter(t, "sizing")
	const (
		sources, ports = 20, 100 // connections that continue, each with a packet a second
		opened         = 200     // new sessions a second
		seconds        = 30
	)
	top := newTopology(t)
	pairJ, pairK := top.pairs(group6)
	k := top.k.startTuned(t, pairK)
	j := top.j.startTuned(t, pairJ)
	top.awaitFirst(t)
	j.awaitComplete(t)
	k.awaitComplete(t)
	steady := top.sources(t, portRange(10000, sources))
	news := top.sources(t, portRange(20000, seconds))
	messages, once := messagesTo(ports), messagesTo(opened)
	send := func(source int, new ...[]ipv6.Message) {
		t.Helper()
		if err := writeAll(steady[source], messages); err != nil {
			t.Fatal(err)
		}
		for _, m := range new {
			if err := writeAll(news[0], m); err != nil {
				t.Fatal(err)
			}
		}
	}
	// A second has a turn for each source.
	p := pace{time.NewTicker(time.Second / sources)}
	for turn := range 5 * sources {
		p.wait()
		send(turn % sources)
	}
	frames, bytes := top.j.sent(t, syncLink)
	for second := range seconds {
		for i := range sources {
			p.wait()
			send(i, once[i*opened/sources:(i+1)*opened/sources])
		}
		news = news[min(1, seconds-1-second):]
	}
	after, bytesAfter := top.j.sent(t, syncLink)
	frames, bytes = after-frames, bytesAfter-bytes
	each := float64(bytes) / (sources*ports + opened) / seconds
	t.Logf("%d connections with a packet a second and %d new ones a second: %.0f bytes/s in %.0f frames/s on the link, %.1f bytes for each",
		sources*ports, opened, float64(bytes)/seconds, float64(frames)/seconds, each)
	if each < 40 || each > 48 { // 40 is a session alone
		t.Errorf("docs/sizing.md says 48 bytes at most")
	}
}

// sent returns the frames and bytes that an interface has sent.
func (n *namespace) sent(t testing.TB, link string) (frames, bytes uint64) {
	t.Helper()
	n.do(t, func() error {
		text, err := os.ReadFile("/proc/thread-self/net/dev")
		if err != nil {
			return err
		}
		_, line, found := strings.Cut(string(text), link+":")
		fields := strings.Fields(line)
		if !found || len(fields) < 10 {
			return fmt.Errorf("no link %s:\n%s", link, text)
		}
		frames, err = strconv.ParseUint(fields[9], 10, 64)
		if err != nil {
			return err
		}
		bytes, err = strconv.ParseUint(fields[8], 10, 64)
		return err
	})
	return frames, bytes
}
