// Package prometheus holds rules for Prometheus; its tests run them under Prometheus' promtool.
package prometheus

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/internal/debianprogram"
	"joolctl/joolnl"
	"joolctl/metrics"
)

var update = flag.Bool("update", false, "write the rules under other exporters' names again")

const (
	cooperlees = "jool-exporter-cooperlees.rules.yml"
	frebib     = "jool-exporter-frebib.rules.yml"
)

// TestRules has promtool take all rules.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("*.rules.yml")
	if err != nil || len(files) != 3 {
		t.Fatalf("%v, %v", files, err)
	}
	promtool(t, append([]string{"check", "rules", "--lint=all", "--lint-fatal"}, files...)...)
}

// TestAlerts has each alert fire and not fire.
func TestAlerts(t *testing.T) { promtool(t, "test", "rules", "testdata/alerts.test.yml") }

// TestExporters has series of joolctl become those of the two other exporters.
func TestExporters(t *testing.T) { promtool(t, "test", "rules", "testdata/exporters.test.yml") }

func promtool(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command(debianprogram.Path(t, "promtool", "prometheus"), args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// alert finds the name of an alert and the section that it links to.
var alert = regexp.MustCompile(`(?s)- alert: (\w+)\n.*?runbook: \S+/alerts\.md#(\w+)\n`)

// TestAlertsAreDocumented has each alert link to a section of docs/alerts.md, which says what it means, how to find the cause and what to
// do, and be in the tests. The metrics in its expression exist.
func TestAlertsAreDocumented(t *testing.T) {
	rules, page, tests := read(t, "joolctl.rules.yml"), read(t, "../../docs/alerts.md"), read(t, "testdata/alerts.test.yml")
	var names []string
	for _, m := range alert.FindAllStringSubmatch(rules, -1) {
		name, anchor := m[1], m[2]
		names = append(names, name)
		if anchor != strings.ToLower(name) {
			t.Errorf("%s links to #%s", name, anchor)
		}
		_, section, found := strings.Cut(page, "\n## "+name+"\n")
		section, _, _ = strings.Cut(section, "\n## ")
		for _, part := range []string{"**Meaning.**", "**Diagnosis.**", "**Remedy.**"} {
			if !found || !strings.Contains(section, part) {
				t.Errorf("docs/alerts.md: the section %s lacks %s", name, part)
			}
		}
		if fires := strings.Count(tests, "alertname: "+name+"\n"); fires < 3 {
			t.Errorf("%s is tested %d times", name, fires)
		}
	}
	if n := strings.Count(rules, "- alert:"); len(names) != n || n != strings.Count(page, "\n## Joolctl") {
		t.Errorf("%d alerts, of which %v were read; %d sections", n, names, strings.Count(page, "\n## Joolctl"))
	}
	known := make(map[string]bool)
	for _, section := range metrics.Sections() {
		for _, f := range section.Families {
			known[f.Name] = true
		}
	}
	for _, name := range regexp.MustCompile(`\bjoolctl_\w+`).FindAllString(rules+page, -1) {
		if !known[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestNamesOfExporters has the two files with the names of other exporters be what the table of the module's counters makes of them.
func TestNamesOfExporters(t *testing.T) {
	for file, text := range map[string]string{cooperlees: cooperleesRules(), frebib: frebibRules()} {
		if *update {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(text, read(t, file)); diff != "" {
			t.Errorf("%s (-want +got; rewrite with -update):\n%s", file, diff)
		}
	}
}

const generated = "# Generated from the table of the module's counters: go test ./packaging/prometheus -run TestNamesOfExporters -update\n"

// cooperleesRules are gauges with the names of github.com/cooperlees/jool-exporter.
func cooperleesRules() string {
	var b strings.Builder
	b.WriteString("# The series of `joolctl up --metrics-module` under the names that github.com/cooperlees/jool-exporter gives them, for dashboards that use these.\n" +
		"# jool_bib_entries and jool_sessions have the same name there.\n" + generated + "groups:\n  - name: jool-exporter-cooperlees\n    rules:\n")
	for _, counter := range joolnl.CounterNames() {
		if joolnl.IsGauge(counter) {
			continue
		}
		ours := metrics.ModuleName(counter)
		fmt.Fprintf(&b, "      - record: %s\n        expr: label_replace(%s, \"hostname\", \"$1\", \"instance\", \"(.+):[0-9]+\")\n", strings.TrimSuffix(ours, "_total"), ours)
	}
	return b.String()
}

// oddCodes are values of the label error of github.com/frebib/jool-exporter that do not follow from the counter's name.
var oddCodes = map[string]string{
	"JSTAT_UNKNOWN_L4_PROTO": "unknown-l4_proto", "JSTAT_SO_EXISTS": "so_exists", "JSTAT_SO_FULL": "so_full",
	"JSTAT64_6791_ENOENT": "646791-enoent", "JSTAT46_6791_ENOENT": "466791-enoent",
}

// noErrors are counters that that exporter exports under another name than jool_translation_error_total, or not at all.
var noErrors = []string{"JSTAT_RECEIVED6", "JSTAT_RECEIVED4", "JSTAT_SUCCESS", "JSTAT_BIB_ENTRIES", "JSTAT_SESSIONS", "JSTAT_ENOMEM", "JSTAT_XLATOR_DISABLED",
	"JSTAT_FRAGMENTED_PING", "JSTAT_ICMPEXT_SMALL"}

// frebibRules have the names and labels of github.com/frebib/jool-exporter.
func frebibRules() string {
	var b strings.Builder
	b.WriteString("# The series of `joolctl up --metrics-module` under the names that github.com/frebib/jool-exporter gives them, for dashboards that use these.\n" +
		"# Its label instance, the Jool instance, is exported_instance in Prometheus.\n" + generated +
		"groups:\n  - name: jool-exporter-frebib\n    rules:\n" +
		"      - record: joolctl:exported_instance:info\n        expr: label_replace(joolctl_pair_info, \"exported_instance\", \"$1\", \"iname\", \"(.*)\")\n")
	rule := func(record, expr string, labels ...string) {
		fmt.Fprintf(&b, "      - record: %s\n        expr: %s * on (job, instance, pair) group_left (exported_instance) joolctl:exported_instance:info\n", record, expr)
		if len(labels) == 2 {
			fmt.Fprintf(&b, "        labels: {%s: '%s'}\n", labels[0], labels[1])
		}
	}
	rule("jool_instance_enabled", "(increase(jool_xlator_disabled_total[5m]) == bool 0)")
	rule("jool_translation_success_total", "jool_success_total")
	rule("jool_received_packets_total", "jool_received4_total", "ipversion", "4")
	rule("jool_received_packets_total", "jool_received6_total", "ipversion", "6")
	rule("jool_bib_entries_total", "jool_bib_entries")
	rule("jool_bib_sessions_total", "jool_sessions")
	rule("jool_memory_allocation_failures_total", "jool_enomem_total")
	for _, counter := range joolnl.CounterNames() {
		if slices.Contains(noErrors, counter) || strings.HasPrefix(counter, "JSTAT_JOOLD_") || strings.HasPrefix(counter, "JSTAT_MAPT_") {
			continue
		}
		code := oddCodes[counter]
		if code == "" {
			code = strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(strings.TrimPrefix(counter, "JSTAT"), "_")), "_", "-")
		}
		rule("jool_translation_error_total", metrics.ModuleName(counter), "error", code)
	}
	return b.String()
}
