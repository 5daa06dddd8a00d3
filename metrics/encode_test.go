package metrics

import (
	"bytes"
	"io"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"joolctl/internal/golden"
	"joolctl/supervisor"
)

func encoded(t testing.TB, f Format, s *supervisor.Snapshot) string {
	t.Helper()
	var out bytes.Buffer
	if err := Encode(&out, f, s, sampleBuild); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// ofProcess matches the samples that differ between runs.
var ofProcess = regexp.MustCompile(`(?m)^(joolctl_process_\w+) .*$`)

func stable(text string) string { return ofProcess.ReplaceAllString(text, "$1 1") }

// TestGolden compares the whole answer to a scrape, in both formats, with golden files.
func TestGolden(t *testing.T) {
	for name, f := range map[string]Format{"metrics.txt": Text, "metrics.openmetrics": OpenMetrics} {
		golden.File(t, filepath.Join("testdata", name), stable(encoded(t, f, sample(t))))
	}
}

// parse reads the text format as Prometheus' own tools do.
func parse(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestLint checks that promlint finds no problem.
func TestLint(t *testing.T) {
	problems, err := promlint.New(strings.NewReader(encoded(t, Text, sample(t)))).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// TestParsed checks that each family agrees with the table, and that no series occurs twice.
func TestParsed(t *testing.T) {
	families := parse(t, encoded(t, Text, sample(t)))
	known := 0
	for _, section := range Sections() {
		for _, f := range section.Families {
			got := families[f.Name]
			if got == nil { // a counter that Jool 4.1.15 does not have
				if f.module == nil {
					t.Errorf("%s: the sample does not have it", f.Name)
				}
				continue
			}
			known++
			if got.GetHelp() != f.Help || strings.ToLower(got.GetType().String()) != f.Type.in(Text) {
				t.Errorf("%s: %v", f.Name, got)
			}
			seen := make(map[string]bool)
			for _, m := range got.Metric {
				labels, pair := "", false
				for _, l := range m.Label {
					labels += l.String()
					pair = pair || l.GetName() == "pair"
				}
				if seen[labels] {
					t.Errorf("%s has %s twice", f.Name, labels)
				}
				if seen[labels] = true; pair != f.OfPair() {
					t.Errorf("%s: labels %s", f.Name, labels)
				}
			}
		}
	}
	if known != len(families) {
		t.Errorf("%d families, of which %d are in the table", len(families), known)
	}
	name := families["joolctl_pair_info"].Metric[1].Label
	if want := "a \"b\" \\ c\nd\uFFFD"; name[0].GetValue() != want && name[3].GetValue() != want {
		t.Errorf("a strange name became %v, want %q", name, want)
	}
}

// TestOpenMetrics checks the differences between the two formats.
func TestOpenMetrics(t *testing.T) {
	text := encoded(t, OpenMetrics, sample(t))
	for _, want := range []string{
		"# HELP joolctl_reported_sessions Sessions that the module has reported.\n# TYPE joolctl_reported_sessions counter\n# UNIT joolctl_reported_sessions sessions\njoolctl_reported_sessions_total{pair=\"p1\"} 301\n",
		"# TYPE joolctl_build info\njoolctl_build_info{version=\"v0.2.0\",commit=\"c9c8618f\",goversion=\"go1.26.8\"} 1\n",
		"# TYPE jool_unnamed unknown\njool_unnamed{pair=\"p1\",number=\"84\"} 1083\n",
		"\n# EOF\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if !strings.HasSuffix(text, "\n# EOF\n") || strings.Count(text, "# EOF") != 1 {
		t.Error("the end is not marked")
	}
}

// TestNoModule checks that no family of the module is written if the module was not asked.
func TestNoModule(t *testing.T) {
	s := sample(t)
	s.Module = nil
	if text := encoded(t, Text, s); strings.Contains(text, "jool_") || strings.Contains(text, "module_answered") {
		t.Error("there are counters of the module")
	}
}

// TestPeerTwice checks that a peer whose worker has started again is one peer in the metrics.
func TestPeerTwice(t *testing.T) {
	s := sample(t)
	old := s.Workers[0].Peers[0]
	old.Live, old.LastHeardSeconds, old.Synced = false, 7, "no"
	s.Workers[0].Peers = append([]supervisor.Peer{old}, s.Workers[0].Peers...)
	if diff := cmp.Diff(stable(encoded(t, Text, sample(t))), stable(encoded(t, Text, s))); diff != "" {
		t.Errorf("with a former peer (-want +got):\n%s", diff)
	}
	if len(s.Workers[0].Peers) != 3 {
		t.Error("the snapshot has changed")
	}
}

// broken is a Writer that fails after some bytes.
type broken struct{ left int }

func (b *broken) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return len(p), nil
}

// TestHungUp checks that the encoder stops when the scraper closes the connection.
func TestHungUp(t *testing.T) {
	w := &broken{left: 100_000}
	if err := Encode(w, Text, many(t, 100), sampleBuild); err != io.ErrClosedPipe || w.left < -2*flushAt {
		t.Errorf("%v, %d bytes", err, w.left)
	}
}

// FuzzLabel writes any text into a label and parses it again. Valid UTF-8 must not change.
func FuzzLabel(f *testing.F) {
	f.Add("a\"b\\c\n\xff")
	f.Fuzz(func(t *testing.T, name string) {
		s := &supervisor.Snapshot{Status: supervisor.Status{Workers: []supervisor.Row{{Name: name}}}}
		got := parse(t, encoded(t, Text, s))["joolctl_ready"].Metric[0].Label[0].GetValue()
		if want := strings.ToValidUTF8(name, "\uFFFD"); got != want {
			t.Errorf("%q became %q, want %q", name, got, want)
		}
	})
}
