// Package grafana holds a dashboard for Grafana; its tests check it, and run its queries in Prometheus.
package grafana

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"joolctl/metrics"
)

// dashboard has the fields of a dashboard that the tests read.
type dashboard struct {
	Title, UID string
	Editable   bool
	Panels     []panel
	Templating struct{ List []variable }
}

type panel struct {
	ID                       int
	Type, Title, Description string
	Datasource               datasource
	GridPos                  struct{ H, W, X, Y int }
	FieldConfig              struct{ Defaults struct{ Unit string } }
	Targets                  []target
}

type target struct {
	Expr, LegendFormat, RefID string
	Datasource                datasource
}

type datasource struct{ Type, UID string }

type variable struct {
	Name, Type, Label, AllValue, Definition string
	Datasource                              datasource
	Multi, IncludeAll                       bool
	Refresh                                 int
	Query                                   json.RawMessage
}

func load(t *testing.T) dashboard {
	t.Helper()
	b, err := os.ReadFile("joolctl.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(b, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

const (
	source    = "${datasource}"
	ofHost    = `job=~"$job", instance=~"$instance"`
	ofPair    = ofHost + `, pair=~"$pair"`
	timeRange = "$__rate_interval"
)

// TestVariables has the variables that dashboard-linter wants, and pair.
func TestVariables(t *testing.T) {
	d := load(t)
	if d.Title == "" || d.UID == "" || d.Editable {
		t.Errorf("title %q, uid %q, editable %v", d.Title, d.UID, d.Editable)
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
		if v.Name == "datasource" {
			if v.Type != "datasource" || string(v.Query) != `"prometheus"` || v.Label != "Data source" {
				t.Errorf("datasource: %+v", v)
			}
			continue
		}
		if v.Type != "query" || v.Datasource.UID != source || !v.Multi || !v.IncludeAll || v.AllValue != ".+" || v.Refresh != 2 || !strings.EqualFold(v.Label, v.Name) {
			t.Errorf("%s: %+v", v.Name, v)
		}
		if !regexp.MustCompile(`^label_values\(joolctl_\w+(\{.*\})?, `+v.Name+`\)$`).MatchString(v.Definition) || !strings.Contains(string(v.Query), strings.ReplaceAll(v.Definition, `"`, `\"`)) {
			t.Errorf("%s is %q, %s", v.Name, v.Definition, v.Query)
		}
	}
	if !slices.Equal(names, []string{"datasource", "job", "instance", "pair"}) {
		t.Errorf("variables %q", names)
	}
}

// units are those of Grafana that the panels have.
var units = []string{"none", "short", "s", "cps", "pps", "bytes"}

// selector finds a metric with its labels and its range.
var selector = regexp.MustCompile(`(rate|increase)?\(?\b((?:joolctl|jool)_\w+)(\{[^}]*\})?(\[[^\]]*\])?`)

// TestPanels checks each panel by dashboard-linter's rules: title, description, data source, unit, filters, and rates of counters over
// $__rate_interval.
func TestPanels(t *testing.T) {
	families := make(map[string]metrics.Family)
	for _, section := range metrics.Sections() {
		for _, f := range section.Families {
			families[f.Name] = f
		}
	}
	ids, cells := make(map[int]bool), make(map[[2]int]string)
	for _, p := range load(t).Panels {
		if ids[p.ID] || p.Title == "" {
			t.Errorf("panel %d %q: the number is taken, or it has no title", p.ID, p.Title)
		}
		ids[p.ID] = true
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				at := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				if cells[at] != "" || at[0] >= 24 {
					t.Errorf("%s lies on %s", p.Title, cells[at])
				}
				cells[at] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if !strings.HasSuffix(p.Description, ".") || p.Datasource != (datasource{"prometheus", source}) || !slices.Contains(units, p.FieldConfig.Defaults.Unit) || len(p.Targets) == 0 {
			t.Errorf("%s: %+v", p.Title, p)
		}
		for _, q := range p.Targets {
			checkQuery(t, families, p, q)
		}
	}
}

func checkQuery(t *testing.T, families map[string]metrics.Family, p panel, q target) {
	t.Helper()
	if q.Datasource.UID != source || q.RefID == "" || p.Type == "timeseries" && q.LegendFormat == "" {
		t.Errorf("%s: %+v", p.Title, q)
	}
	found := selector.FindAllStringSubmatch(q.Expr, -1)
	if len(found) == 0 {
		t.Errorf("%s: no metric in %s", p.Title, q.Expr)
	}
	for _, m := range found {
		function, name, labels, window := m[1], m[2], m[3], m[4]
		f, ok := families[name]
		if !ok {
			t.Errorf("%s: there is no metric %s", p.Title, name)
		}
		want := ofHost
		if f.OfPair() {
			want = ofPair
		}
		if !strings.HasPrefix(labels, "{"+want) {
			t.Errorf("%s: %s has the labels %s, want %s", p.Title, name, labels, want)
		}
		if counter := f.Type == metrics.Counter; counter != (function != "") || counter && window != "["+timeRange+"]" {
			t.Errorf("%s: %s is a %v, and is used as %s(%s)", p.Title, name, f.Type, function, window)
		}
	}
}
