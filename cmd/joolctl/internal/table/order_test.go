package table

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/replication"
	"joolctl/supervisor"
)

// TestSeverity sorts rows.
func TestSeverity(t *testing.T) {
	why := []replication.Reason{{Code: replication.SettingsDiffer}}
	lags := func(s float64) *supervisor.Lag { return &supervisor.Lag{Sessions: 1, Seconds: s} }
	rows := []supervisor.Row{
		{Name: "p2", State: supervisor.Running, Synced: "yes"},
		{Name: "p10", State: supervisor.Running, Synced: "yes"},
		{Name: "lag2", State: supervisor.Running, Synced: "yes", Lag: lags(2), Warnings: why},
		{Name: "lag3", State: supervisor.Running, Synced: "yes", Lag: lags(3), Warnings: why},
		{Name: "reasons", State: supervisor.Running, Synced: "yes", Reasons: why},
		{Name: "alone", State: supervisor.Running, Synced: "alone"},
		{Name: "no", State: supervisor.Running, Synced: "no"},
		{Name: "oldfiles", State: supervisor.Running, Synced: "yes", Reason: "refused"},
		{Name: "waiting", State: supervisor.Waiting},
		{Name: "backoff", State: supervisor.Backoff},
		{Name: "failed", State: supervisor.Failed},
	}
	order, ok := OrderOf("severity")
	if !ok {
		t.Fatal("no such order")
	}
	order.Sort(rows)
	want := []string{"failed", "backoff", "waiting", "oldfiles", "no", "alone", "reasons", "lag3", "lag2", "p2", "p10"}
	if diff := cmp.Diff(want, names(rows)); diff != "" {
		t.Errorf("by severity (-want +got):\n%s", diff)
	}
}

func names(rows []supervisor.Row) (names []string) {
	for _, row := range rows {
		names = append(names, row.Name)
	}
	return names
}

// TestOrders sorts rows in any former order.
func TestOrders(t *testing.T) {
	size := func(n uint64) *uint64 { return &n }
	rows := []supervisor.Row{
		{Name: "p1", State: supervisor.Running, Rates: &supervisor.Rates{In: 5, Out: 20}, Lag: &supervisor.Lag{Seconds: 1}, Sessions: size(7)},
		{Name: "p2", State: supervisor.Running, Rates: &supervisor.Rates{In: 15, Out: 5}, Lag: &supervisor.Lag{Seconds: 2}, Sessions: size(70)},
		{Name: "p3", State: supervisor.Running, Rates: &supervisor.Rates{}, Peers: []supervisor.Peer{{Live: true, Lost: size(0)}}, Sessions: size(8)},
		{Name: "p10", State: supervisor.Failed},
		{Name: "p11", State: supervisor.Running, Lag: &supervisor.Lag{}},
	}
	for name, want := range map[string]string{
		"name":     "p1 p2 p3 p10 p11",
		"severity": "p10 p3 p2 p1 p11",
		"rates":    "p1 p2 p3 p10 p11",
		"lag":      "p3 p2 p1 p11 p10",
		"sessions": "p2 p3 p1 p10 p11",
	} {
		order, ok := OrderOf(name)
		if !ok {
			t.Fatalf("no order %s", name)
		}
		rand.Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		order.Sort(rows)
		if got := strings.Join(names(rows), " "); got != want {
			t.Errorf("by %s: %s, want %s", name, got, want)
		}
	}
	if _, ok := OrderOf(""); ok {
		t.Error("an order without a name")
	}
}
