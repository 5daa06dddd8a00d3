package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"joolctl/cmd/internal/version"
	"joolctl/configdir"
	"joolctl/doctor"
	"joolctl/internal/docstest"
	"joolctl/internal/golden"
	"joolctl/internal/jsondoc"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

// documents are the JSON documents that commands print. Each sample has every field.
var documents = []struct {
	command string
	sample  func(t *testing.T) any
}{
	{"status", func(*testing.T) any { return sample() }},
	{"ready", func(*testing.T) any {
		rows := sample().Workers
		return supervisor.Ready{Pairs: []supervisor.PairReady{
			{Name: "p1", Ready: true, Reasons: []replication.Reason{}, Warnings: rows[0].Warnings},
			{Name: "p2", Reasons: rows[0].Reasons, Warnings: []replication.Reason{}},
		}}
	}},
	{"reload", func(*testing.T) any {
		return supervisor.Reload{
			Changes: []supervisor.Change{{Name: "p1", Action: "renamed", From: "p0", State: supervisor.Waiting, Reason: "starting"}, {Name: "p3", Action: "stopped"}},
			Refused: []supervisor.Refusal{{Name: "p2", State: supervisor.Running, Reasons: []replication.Reason{
				{Code: replication.FilesRefused, Peer: "192.0.2.2", Sessions: 1, Datagrams: 1, Since: now, Text: "p2.netsocket.json:3:9: ttl: 300 is out of range", Remedy: "type: jool"}}}},
		}
	}},
	{"events", func(*testing.T) any { return sampleEvent() }},
	{"follow", func(*testing.T) any {
		return followedSessionOf(supervisor.Flow{Time: now, Direction: worker.In}, followed[0])
	}},
	{"check", func(t *testing.T) any {
		result, err := configdir.Check("testdata/check")
		if err != nil {
			t.Fatal(err)
		}
		return checkedOf(result)
	}},
	{"doctor", func(*testing.T) any {
		return doctor.Report{Findings: []doctor.Finding{
			{Check: "module", Level: doctor.OK, Observed: "Jool 4.1.15 is loaded"},
			{Check: "interface", Pair: "blue", Level: doctor.Fail, Observed: "eth1 is down", Remedy: "type: ip link set eth1 up"},
		}}
	}},
	{"instances", func(*testing.T) any {
		return foundInstances{[]foundInstance{{"blue", "nat", "blue", supervisor.Running}, {Instance: "default"}}}
	}},
	{"config", func(t *testing.T) any {
		result, err := configdir.Check("testdata/check")
		if err != nil {
			t.Fatal(err)
		}
		return configuredOf(result.Pairs[0])
	}},
	{"version", func(*testing.T) any {
		return version.Info{Version: "v0.1.0-rc1", Commit: "c9c8618fbc450b1d1e5a5ff4f3ad61f5ddbbd87f", Go: "go1.26.8", Wire: 1, Jool: []string{"4.1.9", "4.1.15"}}
	}},
}

// reasonFields are the fields of a reason that only some documents contain.
var reasonFields = []string{"Reason.datagrams", "Reason.peer", "Reason.remedy", "Reason.sessions", "Reason.since"}

// TestJSON compares the JSON of each command with its golden file, its schema and its documentation, so that no field
// changes unnoticed.
func TestJSON(t *testing.T) {
	describer := jsondoc.New("joolctl", docstest.Root)
	docs, schemas := filepath.Join(docstest.Root, "docs", "json.md"), filepath.Join(docstest.Root, "docs", "schema")
	text := new(strings.Builder)
	documented := make(map[string]bool)
	for _, d := range documents {
		objects, err := describer.Describe(d.sample(t))
		if err != nil {
			t.Fatal(err)
		}
		t.Run(d.command, func(t *testing.T) {
			var out bytes.Buffer
			if err := writeJSON(&out, d.sample(t)); err != nil {
				t.Fatal(err)
			}
			golden.Compare(t, d.command+".json", out.String())
			var value any
			if err := json.Unmarshal(out.Bytes(), &value); err != nil {
				t.Fatal(err)
			}
			v := jsondoc.NewValidator(objects)
			if err := v.Validate(value); err != nil {
				t.Error(err)
			}
			unseen := slices.DeleteFunc(v.Unseen(), func(f string) bool { return slices.Contains(reasonFields, f) && d.command != "status" })
			if len(unseen) > 0 {
				t.Errorf("the sample has no %v", unseen)
			}
		})
		schema, err := json.MarshalIndent(jsondoc.Schema("joolctl "+d.command+" -o json", objects), "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		golden.File(t, filepath.Join(schemas, d.command+".schema.json"), string(schema)+"\n")
		text.WriteString("## " + d.command + "\n\n")
		objects = slices.DeleteFunc(objects, func(o jsondoc.Object) bool { return documented[o.Name] })
		for _, o := range objects {
			documented[o.Name] = true
		}
		text.WriteString(jsondoc.Markdown(objects, 3))
	}
	objects, err := describer.Describe(replication.Reason{})
	if err != nil {
		t.Fatal(err)
	}
	text.WriteString("## Codes of reasons\n\n" + jsondoc.Values(objects[0].Fields[0].Type.Enum))

	page, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	const mark = "<!-- What follows is generated from the comments in the source: go test ./cmd/joolctl -run TestJSON -update -->\n\n"
	head, _, found := strings.Cut(string(page), mark)
	if !found {
		t.Fatalf("%s has no line %q", docs, mark)
	}
	golden.File(t, docs, head+mark+text.String())
}

// TestKeysOfScripts checks that the keys that scripts use keep their names.
func TestKeysOfScripts(t *testing.T) {
	var out bytes.Buffer
	if err := writeJSON(&out, sample()); err != nil {
		t.Fatal(err)
	}
	var status struct {
		Totals  map[string]uint64
		Workers []map[string]json.RawMessage
	}
	if err := json.Unmarshal(out.Bytes(), &status); err != nil {
		t.Fatal(err)
	}
	if len(status.Totals) != 6 || status.Totals["NET_SENT_PKTS"] != 123456 {
		t.Errorf("totals: %v", status.Totals)
	}
	for _, row := range status.Workers {
		for _, key := range []string{"name", "namespace", "instance", "state", "reason", "since", "restarts", "synced", "stats"} {
			if row[key] == nil {
				t.Errorf("row %s has no %s", row["name"], key)
			}
		}
	}
}
