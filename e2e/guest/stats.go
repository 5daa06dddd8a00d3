package guest

import (
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	control "joolctl/supervisor"
)

// statNames are the lines that a stats server answers, in order.
var statNames = []string{"KERNEL_SENT_PKTS", "KERNEL_SENT_BYTES", "NET_RCVD_PKTS", "NET_RCVD_BYTES", "NET_SENT_PKTS", "NET_SENT_BYTES"}

// parseStats reads the six lines.
func parseStats(t testing.TB, text string) map[string]uint64 {
	t.Helper()
	stats := make(map[string]uint64)
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		name, value, _ := strings.Cut(line, ",")
		n, err := strconv.ParseUint(value, 10, 64)
		if err != nil || i >= len(statNames) || name != statNames[i] {
			t.Fatalf("line %d of the statistics is %q; all of them:\n%s", i+1, line, text)
		}
		stats[name] = n
	}
	if len(lines) != len(statNames) {
		t.Fatalf("the statistics have %d lines, want %d:\n%s", len(lines), len(statNames), text)
	}
	return stats
}

// server is the namespace of a worker's stats server; nil: the machine's own.
func (w worker) server() *namespace {
	if w.kind == supervised {
		return nil
	}
	return w.namespace
}

// askStats sends a request to a stats server and returns the answer.
func (w worker) askStats(t testing.TB) map[string]uint64 {
	t.Helper()
	var answer string
	ask := func() error {
		c, err := net.Dial("udp", net.JoinHostPort("::1", strconv.Itoa(int(w.pair.statsPort))))
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(replyWithin)); err != nil {
			return err
		}
		if _, err := c.Write([]byte("?")); err != nil {
			return err
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		answer = string(b[:n])
		return err
	}
	if n := w.server(); n != nil {
		n.do(t, ask)
	} else if err := ask(); err != nil {
		t.Fatal(err)
	}
	return parseStats(t, answer)
}

// askStatsByNC asks a stats server as an operator does.
func (w worker) askStatsByNC(t testing.TB) map[string]uint64 {
	t.Helper()
	script := fmt.Sprintf("echo | nc -u -w 5 -W 1 127.0.0.1 %d", w.pair.statsPort)
	if n := w.server(); n != nil {
		return parseStats(t, n.exec(t, "bash", "-c", script))
	}
	return parseStats(t, run(t, "bash", "-c", script))
}

// status has the parts of `joolctl status -o json` that the tests read.
type status struct {
	Directory string            `json:"directory"`
	Totals    map[string]uint64 `json:"totals"`
	Workers   []struct {
		Name      string    `json:"name"`
		Namespace string    `json:"namespace"`
		Instance  string    `json:"instance"`
		State     string    `json:"state"`
		Reason    string    `json:"reason"`
		Since     time.Time `json:"since"`
		Restarts  int       `json:"restarts"`
		Synced    string    `json:"synced"`
		// FullSync is nil unless a full sync is in progress. LastFullSync is nil before the first one.
		FullSync     *control.FullSyncProgress `json:"full_sync"`
		LastFullSync *control.FullSync         `json:"last_full_sync"`
		Stats        map[string]uint64         `json:"stats"`
		Losses       map[string]uint64         `json:"losses"`
		Kernel       map[string]uint64         `json:"kernel"`
		Peers        []struct {
			Address string `json:"address"`
		} `json:"peers"`
	} `json:"workers"`
}

// statusOf runs `joolctl status` with a supervisor's socket, and also returns joolctl's exit status.
func statusOf(t testing.TB, socket string) (status, int) {
	t.Helper()
	return readStatus(t, joolctl, "status", "-o", "json", "--socket", socket)
}

// readStatus runs a command that prints a status as JSON, and returns its exit status too.
func readStatus(t testing.TB, args ...string) (status, int) {
	t.Helper()
	out, code := command(t, args...)
	var s status
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%s (exit status %d): %v\n%s", strings.Join(args, " "), code, err, out)
	}
	return s, code
}

// command runs a program that may fail and returns its output and exit status.
func command(t testing.TB, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return string(out), cmd.ProcessState.ExitCode()
}

// statistics returns the six numbers of a worker of this project.
func (w worker) statistics(t testing.TB) map[string]uint64 {
	t.Helper()
	if w.pair.statsPort != 0 {
		return w.askStats(t)
	}
	s, _ := statusOf(t, w.socket)
	return s.Totals
}
