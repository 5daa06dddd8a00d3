package main

import (
	"context"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/session"
	"joolctl/worker"
)

// Follow returns a stream with a TCP and a UDP session. The worker of the instance "brief" then ends.
func (f fake) Follow() (*worker.Follower, error) {
	follower := worker.NewFollower(func(*worker.Follower) {})
	if f.spec.Instance == "brief" {
		defer follower.End()
	}
	var entries []byte
	for _, s := range followed {
		var err error
		if entries, err = session.Packed40.Append(entries, s); err != nil {
			return nil, err
		}
	}
	flow := worker.Flow{Time: now, Direction: worker.In, Entries: entries, Pool6: netip.MustParsePrefix("64:ff9b::/96")}
	follower.Offer(flow)
	if f.spec.Instance == "brief" {
		broken := slices.Clone(entries)
		broken[len(broken)-1] = 0xff // a protocol that does not exist
		flow.Entries = broken
		for range 300 { // more than may wait for a reader
			follower.Offer(flow)
		}
	}
	return follower, nil
}

var followed = []session.Session{
	{
		Proto: session.TCP, State: session.V4FinRcv, Timer: session.TimerEstablished,
		Src6: netip.MustParseAddrPort("[2001:db8::8]:40000"), Dst6: netip.MustParseAddrPort("[64:ff9b::c000:208]:443"),
		Src4: netip.MustParseAddrPort("198.51.100.1:61001"), Dst4: netip.MustParseAddrPort("192.0.2.8:443"),
		Expires: 2*time.Hour - 1500*time.Millisecond,
	},
	{
		Proto: session.UDP,
		Src6:  netip.MustParseAddrPort("[2001:db8::9]:5000"), Dst6: netip.MustParseAddrPort("[64:ff9b::c000:209]:53"),
		Src4: netip.MustParseAddrPort("198.51.100.1:61002"), Dst4: netip.MustParseAddrPort("192.0.2.9:53"),
		Expires: 5 * time.Minute,
	},
}

// TestFollow prints sessions in each form, until it is interrupted.
func TestFollow(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	follow := func(want string, args string) string {
		t.Helper()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		var stdout, stderr buffer
		code := make(chan int, 1)
		go func() { code <- run(ctx, append(strings.Fields("follow "+args), "--socket", socket), &stdout, &stderr) }()
		await.Within(t, 10*time.Second, "a session of "+args, func() bool { return strings.Contains(stdout.String(), want) })
		cancel()
		if c := <-code; c != 0 || stderr.String() != "" {
			t.Errorf("joolctl follow %s: code %d, %s", args, c, stderr.String())
		}
		return stdout.String()
	}
	const tcp = "  in         TCP   [2001:db8::8]:40000 > [64:ff9b::c000:208]:443  198.51.100.1:61001 > 192.0.2.8:443  V4_FIN_RCV  1h59m58.5s\n"
	if text := follow("[2001:db8::9]", "a"); !strings.Contains(text, tcp) || strings.Count(text, "\n") != 2 {
		t.Errorf("text: %s", text)
	}
	csv := follow("2001:db8::9", "a -o csv")
	if lines := strings.Split(csv, "\n"); lines[0]+"\n" != csvHead ||
		lines[1] != "TCP,2001:db8::8,40000,64:ff9b::c000:208,443,198.51.100.1,61001,192.0.2.8,443,1:59:58.500,V4_FIN_RCV,2026-03-01T12:00:00Z,in" ||
		!strings.Contains(lines[2], ",0:05:00.000,,") {
		t.Errorf("csv: %s", csv)
	}
	var line followedSession
	if err := json.Unmarshal([]byte(follow("}", "a -o json --protocol udp")), &line); err != nil || line.Local4 != "198.51.100.1:61002" || line.Expires != 300 {
		t.Errorf("json: %v, %+v", err, line)
	}
}

// TestFollowGoesOn follows workers that end, that drop sessions, and that have a session that can't be decoded.
func TestFollowGoesOn(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "brief"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var stdout, stderr buffer
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"follow", "a", "--direction", "in", "--socket", socket}, &stdout, &stderr)
	}()
	await.Within(t, 20*time.Second, "the sessions of the next worker come", func() bool {
		return strings.Count(stdout.String(), "V4_FIN_RCV") > 256
	})
	cancel()
	if c := <-code; c != 0 {
		t.Errorf("code %d", c)
	}
	for _, want := range []string{
		"joolctl: the worker has stopped; waiting\n", "is left out here, because it cannot be decoded: ", " sessions are left out here, because the output is read too slowly\n",
	} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("stderr lacks %q: %.1000s", want, stderr.String())
		}
	}
}

// TestFollowErrors checks cases in which follow fails.
func TestFollowErrors(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	for _, c := range []struct {
		args string
		code int
		want string
	}{
		{"nobody", 1, `there is no pair "nobody"; known are: a, b`},
		{"b", 1, `it is waiting, not running: instance "absent" does not exist`},
		{"", 2, "accepts 1 arg(s), received 0"},
		{"a -o yaml", 2, `there is no output "yaml"; write text, csv or json`},
		{"a --protocol sctp", 2, `there is no protocol "sctp"; write tcp, udp or icmp`},
		{"a --direction up", 2, `there is no direction "up"; write out, in or full-sync`},
		{"a --address 192.0.2", 2, `--address "192.0.2" is neither an address nor a prefix`},
		{"a --port 70000", 2, "invalid argument"},
		{"a --socket /nowhere", 3, "no supervisor answers"},
	} {
		if code, _, stderr := ran(append([]string{"follow", "--socket", socket}, strings.Fields(c.args)...)...); code != c.code || !strings.Contains(stderr, c.want) {
			t.Errorf("joolctl follow %s: code %d, %q, want %d, %q", c.args, code, stderr, c.code, c.want)
		}
	}
}

func TestSessionFilter(t *testing.T) {
	for _, c := range []struct {
		protocol, address string
		port              uint16
		direction         string
		want              string // the selected sessions of the slice followed, by index
	}{
		{"", "", 0, "", "01"},
		{"tcp", "", 0, "", "0"},
		{"UDP", "", 0, "", "1"},
		{"icmp", "", 0, "", ""},
		{"", "192.0.2.8", 0, "", "0"},
		{"", "198.51.100.0/24", 0, "", "01"},
		{"", "2001:db8::9/128", 0, "", "1"},
		{"", "64:ff9b::/96", 0, "", "01"},
		{"", "203.0.113.0/24", 0, "", ""},
		{"", "", 443, "", "0"},
		{"", "", 61002, "", "1"},
		{"udp", "192.0.2.8", 0, "", ""},
		{"", "", 0, "in", "01"},
		{"", "", 0, "out", ""},
	} {
		f, err := newSessionFilter(c.protocol, c.address, c.port, c.direction)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for i, s := range followed {
			if f.selects(worker.In, s) {
				got += string(rune('0' + i))
			}
		}
		if got != c.want {
			t.Errorf("%+v selects %q, want %q", c, got, c.want)
		}
	}
}
