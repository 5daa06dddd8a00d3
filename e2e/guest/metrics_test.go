package guest

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/metrics"
)

// testMetrics scrapes a supervisor with --metrics-module, which serves on a Unix socket. Each counter that Jool's own tool prints is a metric of
// the same value.
func testMetrics(t *testing.T, n *namespace, s supervisor, socket string) {
	eventually(t, syncedWithin, "the metrics and `jool stats display --all` agree", func() string {
		before := printedStats(t, n)
		text := scrape(t, socket)
		if after := printedStats(t, n); !cmp.Equal(before, after) {
			return "counters of the module rise meanwhile"
		}
		got := make(map[string]uint64)
		for line := range strings.SplitSeq(text, "\n") {
			name, value, _ := strings.Cut(line, " ")
			name, _, _ = strings.Cut(name, "{")
			if number, err := strconv.ParseUint(value, 10, 64); err == nil && strings.HasPrefix(name, "jool_") {
				got[name] = number
			}
		}
		return cmp.Diff(before, got)
	})
	text := scrape(t, socket)
	for _, want := range []string{
		fmt.Sprintf("joolctl_pair_info{pair=%q,netns=%q,iname=\"nat\",group=\"[%s]:", s.status(t).Workers[0].Name, n.name, group6),
		`,state="running"} 1`, `,synced="yes"} 1`, "joolctl_complete_peers{", "joolctl_lag_seconds{", "joolctl_exposure_seconds{",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if out, code := s.command(t, "metrics"); code != exitOK || !strings.Contains(out, "joolctl_ready{") || strings.Contains(out, "jool_sessions") {
		t.Errorf("joolctl metrics ended with %d:\n%s", code, out)
	}
}

// printedStats are the counters that `jool stats display --all` prints, by the names of their metrics.
func printedStats(t *testing.T, n *namespace) map[string]uint64 {
	t.Helper()
	stats := make(map[string]uint64)
	for line := range strings.SplitSeq(n.exec(t, "jool", "-i", "nat", "stats", "display", "--all"), "\n") {
		name, value, found := strings.Cut(line, ": ")
		if !found {
			continue
		}
		number, err := strconv.ParseUint(strings.TrimSpace(value), 10, 64)
		if err != nil {
			t.Fatalf("jool prints %q", line)
		}
		stats[metrics.ModuleName(strings.TrimSpace(name))] = number
	}
	return stats
}

// scrape gets the metrics from a Unix socket.
func scrape(t *testing.T, socket string) string {
	t.Helper()
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	r, err := client.Get("http://joolctl/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s, %v: %s", r.Status, err, b)
	}
	return string(b)
}
