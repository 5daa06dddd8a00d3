package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"joolctl/internal/docstest"
)

var keepalivedDir = filepath.Join(docstest.Root, "packaging", "keepalived")

// TestNotify reports keepalived's states of a host that starts, becomes master and steps down. Only while the host is
// master, `ready --vrrp` does not ask the supervisor.
func TestNotify(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent"})
	states := vrrpStates{filepath.Join(t.TempDir(), "states")}
	for _, c := range []struct {
		args, out string
		code      int
	}{
		{"ready --vrrp nat64 --all", "b: ", exitNotWell},
		{"notify a INSTANCE nat64 BACKUP 90", "", exitWell},
		{"ready --vrrp nat64 --all", "b: ", exitNotWell},
		{"notify --all INSTANCE nat64 MASTER 100", "", exitWell},
		{"ready --vrrp nat64 --all", "nat64: this host serves", exitWell},
		{"ready --vrrp nat64 --all -o json", `"ready": true`, exitWell},
		{"ready --vrrp other --all", "b: ", exitNotWell},
		{"notify --all INSTANCE nat64 BACKUP 100", "advertising b: ", exitNotWell},
		{"ready --vrrp nat64 --all", "b: ", exitNotWell},
		{"notify a b GROUP g/1 MASTER", "", exitWell},
		{"ready --vrrp g/1 --all", "g/1: this host serves", exitWell},
		{"notify --all GROUP g/1 FAULT 100", "", exitWell},
		{"ready --vrrp g/1 --all", "b: ", exitNotWell},
		{"notify INSTANCE nat64 BACKUP 100", "name pairs or say --all", exitUsage},
		{"notify --all a INSTANCE nat64 BACKUP 100", "name pairs or say --all", exitUsage},
		{"notify --all", "keepalived", exitUsage},
		{"notify a nat64 BACKUP", "keepalived", exitUsage},
	} {
		var out bytes.Buffer
		p := &program{stdout: &out, stderr: &out, vrrp: states}
		root := newRoot(p)
		root.SetArgs(append(strings.Fields(c.args), "--socket", socket))
		if code := p.exit(root.ExecuteContext(t.Context())); code != c.code || !strings.Contains(out.String(), c.out) {
			t.Errorf("joolctl %s: code %d, want %d; %s", c.args, code, c.code, out.String())
		}
	}
	readOnly := vrrpStates{"/proc/none"}
	if err := readOnly.record("nat64", vrrpMaster); err == nil {
		t.Error("a state was recorded where no file can be made")
	}
}

// TestKeepalivedConfiguration checks that joolctl accepts the command lines in the packaged configuration of keepalived
// and in the documentation.
func TestKeepalivedConfiguration(t *testing.T) {
	calls := 0
	call := regexp.MustCompile(`(?m)^\s*(script|notify) "/usr/bin/joolctl (.*)"$`)
	mention := regexp.MustCompile(`(?m)^\s*(script|notify) .*$`)
	for _, file := range []string{"keepalived.conf", "opposite-roles.conf", "README.md"} {
		text, err := os.ReadFile(filepath.Join(keepalivedDir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range mention.FindAllString(string(text), -1) {
			calls++
			m := call.FindStringSubmatch(line)
			if m == nil {
				t.Errorf("%s: %s", file, line)
				continue
			}
			args := strings.Fields(m[2])
			if m[1] == "notify" {
				args = append(args, "INSTANCE", "nat64", "BACKUP", "100")
			}
			if err := parses(args, false); err != nil {
				t.Errorf("%s: %s: %v", file, line, err)
			}
		}
	}
	if calls != 8 {
		t.Errorf("%d calls, want 8", calls)
	}
}

// TestBGPScript checks that joolctl accepts the command lines in the script that adds the routes for BGP.
func TestBGPScript(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(docstest.Root, "packaging", "bgp", "nat64-routes"))
	if err != nil {
		t.Fatal(err)
	}
	calls := regexp.MustCompile(`joolctl (ready [^>\n]*?) 2?>`).FindAllStringSubmatch(string(text), -1)
	for _, call := range calls {
		if err := parses(strings.Fields(call[1]), false); err != nil {
			t.Errorf("joolctl %s: %v", call[1], err)
		}
	}
	if len(calls) != 2 {
		t.Errorf("%d calls, want 2", len(calls))
	}
}
