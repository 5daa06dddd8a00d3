package metrics

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/internal/jsondoc"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

// TestTable checks the names, units and texts of all families.
func TestTable(t *testing.T) {
	seen := make(map[string]bool)
	for _, section := range Sections() {
		for _, f := range section.Families {
			if seen[f.Name] || seen[f.base()] {
				t.Errorf("%s is there twice", f.Name)
			}
			seen[f.Name], seen[f.base()] = true, true
			if !regexp.MustCompile(`^(joolctl|jool)_[a-z0-9_]+$`).MatchString(f.Name) {
				t.Errorf("the name %s", f.Name)
			}
			if (f.Type == Counter) != strings.HasSuffix(f.Name, "_total") || (f.Type == Info) != strings.HasSuffix(f.Name, "_info") {
				t.Errorf("%s is a %v", f.Name, f.Type)
			}
			if f.Unit != "" && !strings.HasSuffix(f.base(), "_"+f.Unit) {
				t.Errorf("%s has the unit %s", f.Name, f.Unit)
			}
			if !strings.HasSuffix(f.Help, ".") || strings.Contains(f.Help, "|") {
				t.Errorf("%s: help %q", f.Name, f.Help)
			}
			for _, l := range f.Labels {
				if slices.Contains([]string{"instance", "namespace", "job", "pair"}, l.Name) {
					t.Errorf("%s: Prometheus renames the label %s", f.Name, l.Name)
				}
			}
		}
	}
}

// TestAllCounters checks that each counter in JSON has a metric with the same name and value.
func TestAllCounters(t *testing.T) {
	families := parse(t, encoded(t, Text, sample(t)))
	value := func(name string) float64 {
		f := families[name]
		if f == nil {
			t.Errorf("no %s", name)
			return 0
		}
		m := f.Metric[0]
		return m.GetCounter().GetValue() + m.GetGauge().GetValue()
	}
	row := fullRow("p1")
	for _, c := range []struct {
		of   any
		name func(key string) string
	}{
		{row.Ledger, func(key string) string { return "joolctl_" + key + "_sessions_total" }},
		{row.Losses, func(key string) string { return "joolctl_" + key + "_total" }},
		{row.Stats, func(key string) string {
			return "joolctl_" + strings.Replace(strings.ToLower(key), "_pkts", "_packets", 1) + "_total"
		}},
		{*row.LastFullSync, func(key string) string { return "joolctl_last_full_sync_" + key }},
		{*row.Lag, func(key string) string { return "joolctl_lag_" + key }},
	} {
		v := reflect.ValueOf(c.of)
		for i := range v.NumField() {
			key, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			name := c.name(key)
			switch key {
			case "from", "cause":
				continue // a text, not a counter
			case "at":
				if got := value("joolctl_last_full_sync_timestamp_seconds"); got != timestamp(row.LastFullSync.At) {
					t.Errorf("%s: %v", key, got)
				}
				continue
			}
			if got, want := fmt.Sprint(value(name)), fmt.Sprint(v.Field(i)); got != want {
				t.Errorf("%s is %s, want %s", name, got, want)
			}
		}
	}
	if n := reflect.TypeFor[worker.FullSyncs]().NumField(); n != len(syncResults) {
		t.Errorf("%d results of full syncs, the label has %v", n, syncResults)
	}
	for i := range reflect.TypeFor[worker.FullSyncs]().NumField() {
		if key := reflect.TypeFor[worker.FullSyncs]().Field(i).Tag.Get("json"); key != syncResults[i] {
			t.Errorf("the result %s is called %s", key, syncResults[i])
		}
	}
}

// TestEnumerations checks that labels can have all values that occur in JSON.
func TestEnumerations(t *testing.T) {
	describer := jsondoc.New("joolctl", "..")
	enum := func(of any, object, field string) (values []string) {
		objects, err := describer.Describe(of)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range objects {
			for _, f := range o.Fields {
				if o.Name == object && f.Name == field {
					for _, v := range f.Type.Enum {
						values = append(values, v.Value)
					}
				}
			}
		}
		slices.Sort(values)
		return values
	}
	files := codes(replication.FilesRefused, replication.CannotStart, replication.NoOutcome)             // only reasons of reload have these codes
	all := slices.Compact(slices.Sorted(slices.Values(slices.Concat(reasonCodes, warningCodes, files)))) // some codes are used both for reasons and for warnings
	if diff := cmp.Diff(enum(replication.Reason{}, "Reason", "code"), all); diff != "" {
		t.Errorf("codes (-JSON +metrics):\n%s", diff)
	}
	if diff := cmp.Diff(enum(supervisor.Row{}, "Row", "state"), slices.Sorted(slices.Values(states))); diff != "" {
		t.Errorf("states (-JSON +metrics):\n%s", diff)
	}
}

// TestModuleNames checks the metrics' names of the module's counters.
func TestModuleNames(t *testing.T) {
	for counter, want := range map[string]string{
		"JSTAT_RECEIVED6": "jool_received6_total", "JSTAT_BIB_ENTRIES": "jool_bib_entries", "JSTAT_SESSIONS": "jool_sessions",
		"JSTAT64_SRC": "jool_jstat64_src_total", "JSTAT_JOOLD_SSS_ENOSPC": "jool_joold_sss_enospc_total",
	} {
		if got := ModuleName(counter); got != want {
			t.Errorf("%s is %s, want %s", counter, got, want)
		}
	}
}
