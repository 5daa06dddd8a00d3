package guest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"joolctl/internal/docstest"
	"joolctl/session"
)

// TestDrill runs the failover drill of docs/observing.md: its commands, as they stand there, before, while and after J is off. It
// checks what the page says of their output, and that the queries of the dashboard have an answer meanwhile.
func TestDrill(t *testing.T) {
	enter(t, "drill")
	docstest.Root = Documentation
	d := newDrill(t)
	steps := []struct {
		name    string
		prepare func()
		check   func(out string)
	}{
		{"before", d.synced, d.checkBefore},
		{"during", d.switchOff, d.checkDuring},
		{"after", d.switchOn, d.checkAfter},
	}
	blocks := slices.DeleteFunc(docstest.Blocks(t, "sh"), func(b docstest.Block) bool {
		return filepath.Base(b.File) != "observing.md" || b.Heading != "A failover drill"
	})
	if len(blocks) != len(steps) {
		t.Fatalf("the drill has %d blocks of commands; this test knows %d", len(blocks), len(steps))
	}
	for i, step := range steps {
		step.prepare()
		out := d.follow(blocks[i])
		step.check(out)
		d.checkDashboard(step.name)
	}
}

// drill has the hosts of the drill and their Prometheus.
type drill struct {
	t          *testing.T
	top        *topology
	j, k       supervisor
	pairJ      pair
	c          connection
	dashboard  []string // its queries
	prometheus string   // the URL of its API
}

const (
	metricsJ = "127.0.0.1:6469"
	metricsK = "127.0.0.2:6469"
	// firingWithin is the longest time until an alert fires: a minute for the alert, and some scrapes and evaluations.
	firingWithin = 3 * time.Minute
)

func newDrill(t *testing.T) *drill {
	t.Helper()
	d := &drill{t: t, top: newTopology(t)}
	ip(t, "link set lo up")
	d.top.serveEcho(t)
	pairJ, pairK := d.top.pairs(group6)
	pairJ.name, pairK.name = "nat", "nat"
	pairJ.tuneSS, pairK.tuneSS = true, true
	d.pairJ = pairJ.in(d.top.j)
	d.j = startMeasured(t, metricsJ, d.pairJ)
	d.j.awaitRunning(t, 1, listensWithin)
	d.top.keep(map[session.Proto]int{session.TCP: 1}, func() {
		d.c = d.top.connect(t, 40000)
		d.c.mustEcho(t, "through J")
	})
	d.k = startMeasured(t, metricsK, pairK.in(d.top.k)) // K gets the session by a full sync
	d.k.awaitRunning(t, 1, listensWithin)
	d.startPrometheus()
	d.loadDashboard()
	return d
}

// startMeasured starts a supervisor that serves metrics.
func startMeasured(t *testing.T, address string, p pair) supervisor {
	t.Helper()
	return startSupervisorWith(t, func(cmd *exec.Cmd) { cmd.Args = append(cmd.Args, "--metrics", address, "--metrics-module") }, p)
}

// startPrometheus starts a Prometheus as docs/metrics.md has it, with all rules of the package.
func (d *drill) startPrometheus() {
	d.t.Helper()
	dir := d.t.TempDir()
	config := fmt.Sprintf(`
global: {scrape_interval: 2s, evaluation_interval: 2s}
rule_files: ['%s/packaging/prometheus/*.rules.yml']
scrape_configs:
  - job_name: joolctl
    static_configs: [{targets: ['%s', '%s']}]
`, Documentation, metricsJ, metricsK)
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		d.t.Fatal(err)
	}
	start(d.t, nil, "/usr/bin/prometheus", "--config.file", file, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", "localhost:9090", "--log.level", "warn")
	d.prometheus = "http://localhost:9090/api/v1/query?query="
	eventually(d.t, 2*time.Minute, "Prometheus has scraped both hosts", func() string {
		if n, err := d.query(`count_over_time(joolctl_ready[1m]) > 1`); err != nil || n != 2 {
			return fmt.Sprintf("%d series, %v", n, err)
		}
		return ""
	})
}

// query returns the number of series of an answer of Prometheus.
func (d *drill) query(expr string) (int, error) {
	r, err := http.Get(d.prometheus + url.QueryEscape(expr))
	if err != nil {
		return 0, err
	}
	defer r.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []json.RawMessage }
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("%s", answer.Error)
	}
	return len(answer.Data.Result), nil
}

func (d *drill) loadDashboard() {
	d.t.Helper()
	b, err := os.ReadFile(filepath.Join(Documentation, "packaging/grafana/joolctl.json"))
	if err != nil {
		d.t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct{ Targets []struct{ Expr string } }
	}
	if err := json.Unmarshal(b, &dashboard); err != nil {
		d.t.Fatal(err)
	}
	fill := strings.NewReplacer("$job", ".+", "$instance", ".+", "$pair", ".+", "$__rate_interval", "1m")
	for _, p := range dashboard.Panels {
		for _, q := range p.Targets {
			d.dashboard = append(d.dashboard, fill.Replace(q.Expr))
		}
	}
	if len(d.dashboard) < 10 {
		d.t.Fatalf("the dashboard has only %d queries", len(d.dashboard))
	}
}

// checkDashboard has each query of the dashboard answered for at least one host. Without a live peer there is no lag.
func (d *drill) checkDashboard(when string) {
	d.t.Helper()
	for _, expr := range d.dashboard {
		alone := when == "during" && strings.Contains(expr, "joolctl_lag_")
		if n, err := d.query(expr); err != nil || (n == 0) != alone {
			d.t.Errorf("%s the drill, the dashboard's query has %d series, %v: %s", when, n, err, expr)
		}
	}
}

// follow runs a block in a shell on K, and returns its output. joolctl top runs by itself, because it does not end.
func (d *drill) follow(b docstest.Block) string {
	d.t.Helper()
	lines := slices.DeleteFunc(slices.Clone(b.Lines), func(line string) bool { return line == "joolctl top" })
	if len(lines) != len(b.Lines)-1 {
		d.t.Fatalf("docs/observing.md:%d: joolctl top is missing", b.Line)
	}
	cmd := exec.Command("bash", "-e", "-c", strings.Join(lines, "\n"))
	cmd.Env = append(os.Environ(), "JOOLCTL_SOCKET="+d.k.socket, "PATH="+filepath.Dir(joolctl)+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	d.t.Logf("docs/observing.md:%d: %s\n%s", b.Line, strings.Join(lines, "\n"), out)
	if err != nil {
		d.t.Fatalf("docs/observing.md:%d: %v", b.Line, err)
	}
	d.checkTop()
	return string(out)
}

// checkTop runs joolctl top, whose output is no terminal, until it has shown the pair twice.
func (d *drill) checkTop() {
	d.t.Helper()
	p := start(d.t, nil, joolctl, "top", "--interval", "200ms", "--socket", d.k.socket)
	eventually(d.t, listensWithin, "top shows the pair twice", func() string {
		p.running(d.t)
		if out := p.log.String(); strings.Count(out, "\nnat ") < 2 {
			return "so far: " + out
		}
		return ""
	})
	_ = p.cmd.Process.Signal(syscall.SIGINT)
	if <-p.ended; p.err != nil {
		d.t.Errorf("joolctl top: %v\n%s", p.err, p.log.String())
	}
}

// has reports what an output lacks.
func (d *drill) has(out string, texts ...string) {
	d.t.Helper()
	for _, text := range texts {
		if !strings.Contains(out, text) {
			d.t.Errorf("the output lacks %q", text)
		}
	}
}

// fires waits until an alert fires, or no alert does for "".
func (d *drill) fires(alert string) {
	d.t.Helper()
	want, matcher := 0, `alertstate="firing"`
	if alert != "" {
		want, matcher = 1, matcher+`, alertname="`+alert+`"`
	}
	eventually(d.t, firingWithin, fmt.Sprintf("%d alerts %s fire", want, alert), func() string {
		n, err := d.query("ALERTS{" + matcher + "}")
		if err == nil && n == want {
			return ""
		}
		all, _ := command(d.t, "/usr/bin/promtool", "query", "instant", "http://localhost:9090", "ALERTS")
		return fmt.Sprintf("%d alerts, %v; all are:\n%s", n, err, all)
	})
}

// synced waits until K has the session of the connection through J.
func (d *drill) synced() {
	d.t.Helper()
	d.top.awaitSynced(d.t)
	d.fires("")
}

func (d *drill) checkBefore(out string) {
	d.t.Helper()
	d.has(out, "nat: yes\n", "SYNCED", "1 / 1", `joolctl_ready{instance="`+metricsK+`", job="joolctl", pair="nat"} => 1`)
	if strings.Contains(out, "ALERTS{") {
		d.t.Error("an alert fires")
	}
}

// switchOff takes J from the network, and waits until K notices.
func (d *drill) switchOff() {
	d.t.Helper()
	d.j.kill()
	d.top.failOver(d.t)
	d.c.mustEcho(d.t, "through K")
	eventually(d.t, 12*time.Second, "K notices that J is gone", func() string {
		if out, _ := d.k.command(d.t, "events", "-n", "3"); !strings.Contains(out, "is not live any more") || !strings.Contains(out, "yes → alone") {
			return "the events are: " + out
		}
		return ""
	})
}

func (d *drill) checkDuring(out string) {
	d.t.Helper()
	d.has(out, "alone", "yes → alone", "is not live any more", "nat: yes", `joolctl_ready{instance="`+metricsK+`", job="joolctl", pair="nat"} => 0`)
	if out, code := d.k.command(d.t, "ready", "--all"); code != exitNotWell {
		d.t.Errorf("ready without --allow-alone ends with %d: %s", code, out)
	}
	d.fires("JoolctlDown")
	d.fires("JoolctlNoCompletePeer")
}

// switchOn has J start with an empty table.
func (d *drill) switchOn() {
	d.t.Helper()
	d.top.j.replaceInstance(d.t)
	d.top.j.ip(d.t, "link set "+syncLink+" up\naddress add "+syncJ6+"/96 dev "+syncLink+" nodad") // the address went with the link
	d.j = startMeasured(d.t, metricsJ, d.pairJ)
	eventually(d.t, syncedWithin, "K hears J, which is complete", func() string {
		if out, _ := d.k.command(d.t, "events", "-n", "3"); !strings.Contains(out, "is live") || !strings.Contains(out, "→ yes") {
			return "the events are: " + out
		}
		return ""
	})
	eventually(d.t, syncedWithin, "K learns the size of J's table", func() string {
		if out, _ := d.k.command(d.t, "status", "-o", "wide"); !strings.Contains(out, "synced yes, 1 sessions") {
			return "the status is: " + out
		}
		return ""
	})
	d.fires("")
}

func (d *drill) checkAfter(out string) {
	d.t.Helper()
	d.has(out, "nat: yes\n", "is live", "→ yes", "synced yes", `joolctl_ready{instance="`+metricsK+`", job="joolctl", pair="nat"} => 1`)
	if strings.Contains(out, "ALERTS{") {
		d.t.Error("an alert fires")
	}
	d.c.mustEcho(d.t, "through K again")
}
