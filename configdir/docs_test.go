package configdir

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const docs = "../docs/configuration.md"

func readDocs(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestDocumentedKeys checks that the documentation's table has exactly the keys of the code, in the same order,
// with their defaults, meanings and examples.
func TestDocumentedKeys(t *testing.T) {
	var want, got []string
	for _, k := range keys {
		byDefault := k.absent
		if k.preset != "" {
			byDefault = "`" + k.preset + "`"
		}
		want = append(want, fmt.Sprintf("%s | `%s` | %s | %s | %s | `%s`", k.of, k.name, k.form.docs, byDefault, k.meaning, k.example))
	}
	for line := range strings.Lines(readDocs(t)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) == 6 && (cells[0] == "netsocket" || cells[0] == "modsocket") {
			got = append(got, strings.Join([]string{cells[0], strings.TrimSuffix(cells[1], " *"), cells[2], cells[3], cells[4], cells[5]}, " | "))
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s: %s", docs, d)
	}
}

// TestKeyTable checks that the examples and defaults in the table of keys are valid values, and that each key
// has either a default or a description of the behaviour without it.
func TestKeyTable(t *testing.T) {
	for _, k := range keys {
		if (k.preset == "") == (k.absent == "") {
			t.Errorf("%s: wants either a preset or a word on its absence", k.name)
		}
		for _, text := range []string{k.example, k.preset} {
			if text == "" {
				continue
			}
			if c := k.set(new(Spec), value{[]byte(text)}); c != nil && !c.advice {
				t.Errorf("%s: %s: %s", k.name, text, c.message(&k))
			}
		}
	}
	want := Spec{TTL: 1, ReceiveBuffer: 16 << 20, RefreshPeriod: time.Second, VerifyPeriod: 5 * time.Minute, AdvertiseRate: 4000, Sequence: true, Instance: "default"}
	if d := cmp.Diff(want, Defaults(), address); d != "" {
		t.Errorf("defaults: %s", d)
	}
	for _, of := range kinds {
		if _, problems := read(of, of.example()); len(problems) > 0 {
			t.Errorf("example of %s: %v", of, problems)
		}
	}
}

// TestDocumentedExamples checks that each JSON block of the documentation is a valid file of the kind that the
// line above names.
func TestDocumentedExamples(t *testing.T) {
	blocks := strings.Split(readDocs(t), "```json\n")
	for i, block := range blocks[1:] {
		text, _, _ := strings.Cut(block, "```")
		of := netsocket
		if strings.HasSuffix(strings.TrimSpace(blocks[i]), "modsocket.json:") {
			of = modsocket
		} else if !strings.HasSuffix(strings.TrimSpace(blocks[i]), "netsocket.json:") {
			t.Errorf("which file is this? %s", text)
		}
		if _, problems := read(of, text); len(problems) > 0 {
			t.Errorf("%s%v", text, problems)
		}
	}
	if len(blocks) != 6 {
		t.Errorf("%d examples", len(blocks)-1)
	}
}
