package top

import (
	"bytes"
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/google/go-cmp/cmp"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/supervisor"
	"joolctl/worker"
)

// TestKeys presses keys one after the other.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		keys, selected string
		page           page
		quits          bool
	}{
		{"", "yellow", pairsPage, false},
		{"down down", "red", pairsPage, false},
		{"down down up j k", "violet", pairsPage, false},
		{"end", "white", pairsPage, false},
		{"end down home", "yellow", pairsPage, false},
		{"pgdown", "white", pairsPage, false},
		{"up", "yellow", pairsPage, false},
		{"n", "blue", pairsPage, false},
		{"r", "green", pairsPage, false},
		{"l", "red", pairsPage, false},
		{"s", "blue", pairsPage, false},
		{"s v", "yellow", pairsPage, false},
		{"enter", "yellow", detailsPage, false},
		{"enter n", "yellow", detailsPage, false},
		{"enter ? esc", "yellow", detailsPage, false},
		{"enter esc", "yellow", pairsPage, false},
		{"?", "yellow", helpPage, false},
		{"? ?", "yellow", pairsPage, false},
		{"q", "yellow", pairsPage, true},
		{"enter q", "yellow", detailsPage, true},
		{"? ctrl+c", "yellow", helpPage, true},
		{"esc", "yellow", pairsPage, true},
		{"x", "yellow", pairsPage, false},
	} {
		m, quits := sampled(80, 24), false
		for key := range strings.FieldsSeq(c.keys) {
			next, cmd := m.pressed(key)
			m = next.(model)
			quits = cmd != nil && cmd() == tea.Quit()
		}
		if m.selected != c.selected || m.page != c.page || quits != c.quits {
			t.Errorf("%q: selected %q, page %d, quits %v; want %q, %d, %v", c.keys, m.selected, m.page, quits, c.selected, c.page, c.quits)
		}
	}
}

// TestKeyNames: the terminal's keys have the names that the model knows.
func TestKeyNames(t *testing.T) {
	for _, c := range []struct {
		key  tea.KeyPressMsg
		want string
	}{
		{tea.KeyPressMsg{Code: tea.KeyDown}, "violet"},
		{tea.KeyPressMsg{Code: tea.KeyEnd}, "white"},
		{tea.KeyPressMsg{Code: tea.KeyPgDown}, "white"},
		{tea.KeyPressMsg{Code: 'r', Text: "r"}, "green"},
	} {
		if m := sent(sampled(80, 24), c.key); m.selected != c.want {
			t.Errorf("%s selects %s, want %s", c.key, m.selected, c.want)
		}
	}
}

// TestPairsChange: the selected pair stays selected while others appear and disappear, and another one is selected in its place.
func TestPairsChange(t *testing.T) {
	m := sent(sampled(80, 24), "n", "down", "down", "enter")
	fewer := snapshot(seconds)
	fewer.Workers = fewer.Workers[1:]
	m = m.answered(answer{at: later, status: fewer})
	if m.selected != "red" || m.cursor != 1 || m.page != detailsPage {
		t.Errorf("selected %s at %d, page %d", m.selected, m.cursor, m.page)
	}
	fewer.Workers = []supervisor.Row{fewer.Workers[0]}
	m = m.answered(answer{at: later, status: fewer})
	if m.selected != "green" || m.page != pairsPage || len(m.histories) != 1 {
		t.Errorf("selected %s, page %d, %d histories", m.selected, m.page, len(m.histories))
	}
	m = m.answered(answer{at: later})
	if m.selected != "" || !strings.Contains(screenOf(m), "There are no pairs.") {
		t.Errorf("selected %q of none:\n%s", m.selected, screenOf(m))
	}
	if m = sent(m, "enter"); m.page != pairsPage {
		t.Error("details of no pair")
	}
}

// TestTick: the supervisor is asked again only after it has answered.
func TestTick(t *testing.T) {
	m := sent(sampled(80, 24), tick(later))
	if !m.asking || !m.now.Equal(later) {
		t.Errorf("asking %v at %v", m.asking, m.now)
	}
	if m = sent(m, answer{at: later, err: errGone}); m.asking || m.err == nil {
		t.Errorf("asking %v, error %v", m.asking, m.err)
	}
	if m = sent(m, answer{at: later, status: snapshot(seconds)}); m.err != nil || strings.Contains(screenOf(m), "old") {
		t.Errorf("error %v, screen:\n%s", m.err, screenOf(m))
	}
}

// TestHistory computes rates of counters, some of which are those of another supervisor.
func TestHistory(t *testing.T) {
	var h history
	for _, c := range []struct {
		second      int
		given, sent uint64
	}{{-600, 0, 0}, {0, 0, 0}, {60, 600, 60}, {120, 0, 0}, {180, 1200, 0}, {210, 1200, 3000}} {
		h.add(&supervisor.Row{Ledger: worker.Ledger{Given: c.given, Sent: c.sent}}, begin.Add(time.Duration(c.second)*time.Second))
	}
	now := begin.Add(210 * time.Second)
	if diff := cmp.Diff([]float64{10, -1, 20, 0}, h.bars(4, now, in)); diff != "" {
		t.Errorf("in (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]float64{1, 1, -1, -1, 0, 0, 100, -1}, h.bars(8, now, out)); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
	h.add(&supervisor.Row{}, begin.Add(time.Hour))
	if len(h.samples) != 0 {
		t.Errorf("old samples: %v", h.samples)
	}
}

func TestSparkline(t *testing.T) {
	for want, bars := range map[string][]float64{
		"":         nil,
		"▁▁":       {0, 0},
		" ▁▂▅█":    {-1, 0, 1, 50, 100},
		"████":     {3, 3, 3, 3},
		"▂▃▄▅▆▇██": {1, 20, 35, 50, 65, 80, 99, 100},
	} {
		if got := sparkline(bars, blocks); got != want {
			t.Errorf("%v: %q, want %q", bars, got, want)
		}
	}
	if got := sparkline([]float64{-1, 0, 1, math.MaxFloat64}, ascii); got != " _.#" {
		t.Errorf("in ASCII: %q", got)
	}
}

// TestLines: Lines writes one line for an outage, and tables again after it.
func TestLines(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	answers := []error{nil, errGone, errGone, nil}
	order, _ := table.OrderOf("severity")
	o := Options{
		Order: order, Interval: time.Millisecond, Explain: func(err error) string { return err.Error() + "; start one" },
		Ask: func(context.Context) (supervisor.Status, error) {
			if len(answers) == 0 {
				cancel()
				return supervisor.Status{}, ctx.Err()
			}
			err := answers[0]
			answers = answers[1:]
			return snapshot(seconds), err
		},
	}
	var out bytes.Buffer
	if err := Lines(ctx, o, &out); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if tables, outages := strings.Count(text, "NAME "), strings.Count(text, "\n\n"+errGone.Error()+"; start one\n\nNAME"); tables != 2 || outages != 1 {
		t.Errorf("%d tables, %d outages:\n%s", tables, outages, text)
	}
	if !strings.HasPrefix(text, "NAME") || strings.Index(text, "yellow") > strings.Index(text, "blue") {
		t.Errorf("the worst pair is not the first:\n%s", text)
	}
	answers = []error{errGone}
	if err := Lines(context.Background(), o, &out); !errors.Is(err, errGone) {
		t.Errorf("without a supervisor: %v", err)
	}
}
