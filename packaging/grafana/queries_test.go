package grafana

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"joolctl/configdir"
	"joolctl/internal/await"
	"joolctl/internal/debianprogram"
	"joolctl/joolnl"
	"joolctl/metrics"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/syncwire"
	"joolctl/worker"
)

// fake is a worker with a peer, whose module has all counters.
type fake struct {
	supervisor.Worker
	spec configdir.Spec
}

func (f fake) Run(ctx context.Context, ready func()) error {
	if f.spec.Instance == "absent" {
		return errors.New("boom")
	}
	ready()
	<-ctx.Done()
	return nil
}

func (f fake) Rename(string)         {}
func (f fake) ModuleVersion() string { return "4.1.15" }
func (f fake) Turns() uint64         { return uint64(time.Now().UnixNano()) }

func (f fake) Peers() []replication.PeerInfo {
	now := time.Now()
	return []replication.PeerInfo{{Address: netip.MustParseAddr("fd64::2"), LastHeard: now, LiveUntil: now.Add(time.Second), ID: 1, Software: "joolctl", Module: 0x04010f00,
		Sync: syncwire.SyncYes, Sessions: 40000, Lag: replication.Lag{Known: true, Sessions: 3, Age: 20 * time.Millisecond}}}
}

func (f fake) Sync() worker.SyncState {
	return worker.SyncState{Synced: syncwire.SyncYes, Answered: time.Now(), Sessions: 40000, Exposure: worker.Exposure{AtMost: 24 * time.Millisecond},
		Last: &replication.SyncReport{From: "fd64::2", At: time.Now(), Took: time.Second}}
}

func (f fake) ModuleCounters(context.Context) (*joolnl.ModuleCounters, error) {
	v, err := joolnl.ParseVersion("4.1.15")
	if err != nil {
		return nil, err
	}
	var attrs []byte
	for number := range 83 {
		attrs = append(attrs, 12, 0, byte(number+1), 0, byte(number), 0, 0, 0, 0, 0, 0, 0)
	}
	counters, err := v.ParseCounters(attrs)
	return &counters, err
}

// serve runs a supervisor of two pairs that serves its metrics, and returns its address.
func serve(t *testing.T) string {
	t.Helper()
	dir, address := t.TempDir(), free(t)
	for i, instance := range []string{"nat", "absent"} {
		for file, text := range map[string]string{
			"netsocket": fmt.Sprintf(`{"multicast address": "233.252.0.%d", "multicast port": "6464"}`, i+1), "modsocket": fmt.Sprintf(`{"instance": %q}`, instance),
		} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("p%d.%s.json", i, file)), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, err := metrics.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	ready := make(chan struct{})
	once := sync.OnceFunc(func() { close(ready) })
	s := supervisor.New(supervisor.Options{Dir: dir, Notify: func(string) { once() },
		NewWorker: func(spec configdir.Spec, _ *worker.Counters) supervisor.Worker { return fake{spec: spec} },
		OpenStats: func(configdir.Spec, func() worker.Stats) (supervisor.StatsServer, error) {
			return nil, errors.New("none")
		}})
	ctx, cancel := context.WithCancel(context.Background())
	var background sync.WaitGroup
	background.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	background.Go(func() {
		metrics.Serve(ctx, a, metrics.New(s, metrics.Build{Version: "devel"}, true).Handler(), slog.New(slog.DiscardHandler))
	})
	t.Cleanup(func() { cancel(); background.Wait() })
	<-ready
	return address
}

// free is an address on which nobody listens.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

const config = `
global: {scrape_interval: 200ms, evaluation_interval: 200ms}
rule_files: [%s]
scrape_configs:
  - job_name: joolctl
    static_configs: [{targets: [%s]}]
`

// prometheus starts a Prometheus that scrapes some addresses, with all rules, and returns the URL of its API.
func prometheus(t *testing.T, program string, targets ...string) string {
	t.Helper()
	rules, err := filepath.Abs("../prometheus/*.rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	dir, address := t.TempDir(), free(t)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, fmt.Appendf(nil, config, rules, "'"+strings.Join(targets, "', '")+"'"), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--log.level", "warn")
	log := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it has ended by itself
		_ = cmd.Wait()         // killed
		if t.Failed() || log.Len() > 0 {
			t.Errorf("Prometheus says:\n%s", log)
		}
	})
	return "http://" + address + "/api/v1/"
}

// ask gets the data of an answer of the API.
func ask(api string, into any) error {
	r, err := http.Get(api)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	var answer struct {
		Status, Error string
		Warnings      []string
		Data          json.RawMessage
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return err
	}
	if answer.Status != "success" || len(answer.Warnings) > 0 {
		return fmt.Errorf("%s, %q", answer.Error, answer.Warnings)
	}
	return json.Unmarshal(answer.Data, into)
}

// series counts the series that a query gives.
func series(api, query string) (int, error) {
	var data struct{ Result []json.RawMessage }
	err := ask(api+"query?query="+url.QueryEscape(query), &data)
	return len(data.Result), err
}

// TestQueries runs all queries of the dashboard in a Prometheus that scrapes two supervisors. Each gives series of both hosts.
func TestQueries(t *testing.T) {
	program := debianprogram.Path(t, "prometheus", "prometheus")
	a, b := serve(t), serve(t)
	api := prometheus(t, program, a, b)
	await.Within(t, time.Minute, "Prometheus has several scrapes of both", func() bool {
		n, err := series(api, `count_over_time(joolctl_start_timestamp_seconds[1m]) > 4`)
		return err == nil && n == 2
	})
	fill := strings.NewReplacer("$job", ".+", "$instance", ".+", "$pair", ".+", "$__rate_interval", "1m")
	for _, p := range load(t).Panels {
		for _, q := range p.Targets {
			n, err := series(api, fill.Replace(q.Expr))
			if least := map[bool]int{true: 1, false: 2}[p.Type == "stat"]; err != nil || n < least {
				t.Errorf("%s: %d series, %v: %s", p.Title, n, err, q.Expr)
			}
		}
	}
	checkTargets(t, api)
	checkRules(t, api)
}

// checkTargets has Prometheus take both answers as they are.
func checkTargets(t *testing.T, api string) {
	t.Helper()
	var targets struct {
		ActiveTargets []struct{ ScrapeURL, Health, LastError string }
	}
	if err := ask(api+"targets", &targets); err != nil || len(targets.ActiveTargets) != 2 {
		t.Fatalf("%+v, %v", targets, err)
	}
	for _, target := range targets.ActiveTargets {
		if target.Health != "up" || target.LastError != "" {
			t.Errorf("%+v", target)
		}
	}
}

// checkRules has Prometheus evaluate all rules, and the worker that does not run cause an alert.
func checkRules(t *testing.T, api string) {
	t.Helper()
	type rule struct {
		Name, Health, LastError, State string
	}
	var groups struct{ Groups []struct{ Rules []rule } }
	await.Within(t, time.Minute, "all rules are evaluated", func() bool {
		groups.Groups = nil
		if err := ask(api+"rules", &groups); err != nil {
			return false
		}
		for _, g := range groups.Groups {
			for _, r := range g.Rules {
				if r.Health == "unknown" {
					return false
				}
			}
		}
		return len(groups.Groups) == 3
	})
	pending := false
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if r.Health != "ok" {
				t.Errorf("%+v", r)
			}
			pending = pending || r.Name == "JoolctlWorkerNotRunning" && r.State != "inactive"
		}
	}
	if !pending {
		t.Error("there is no alert for the worker that does not run")
	}
}
