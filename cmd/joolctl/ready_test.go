package main

import (
	"context"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/supervisor"
)

func TestReady(t *testing.T) {
	_, socket := supervised(t, map[string]string{"a": "i", "b": "absent", "c": "new"})
	notB := "b: it is waiting, not running: instance \"absent\" does not exist; type: jool instance add absent\n"
	notC := "c: a full sync is under way: receiving at 63 % (63 of 100 sessions), for 30m0s\n"
	for _, test := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"a", 0, "a: yes\n", ""},
		{"c a", 1, "a: yes\n" + notC, ""},
		{"--all", 1, "a: yes\n" + notB + notC, ""},
		{"--all --patience 10m", 1, "a: yes\n" + notB + "c: yes\n", ""},
		{"c --patience 10m", 0, "c: yes\n", ""},
		{"c --open-after 10m", 0, "c: yes\n", ""},
		{"c --patience 1h --open-after 1h", 1, notC, ""},
		{"c --allow-alone --wait 1ms", 1, notC, ""},
		{"x", 1, "", "joolctl: there is no pair \"x\"; known are: a, b, c\n"},
		{"x --wait 1h", 1, "", "joolctl: there is no pair \"x\"; known are: a, b, c\n"},
		{"", 2, "", "joolctl: name the pairs, or say --all; see `joolctl --help`\n"},
		{"a --wait -1s", 2, "", "joolctl: a duration can't be negative; see `joolctl --help`\n"},
		{"a --patience -1s", 2, "", "joolctl: a duration can't be negative; see `joolctl --help`\n"},
		{"a --open-after -1s", 2, "", "joolctl: a duration can't be negative; see `joolctl --help`\n"},
	} {
		code, stdout, stderr := 3, "", ""
		for range 50 { // on a busy machine, an answer may exceed the time limit
			if code, stdout, stderr = ran(append(strings.Fields("ready "+test.args), "--socket", socket)...); code != 3 {
				break
			}
		}
		if code != test.code || stdout != test.stdout || stderr != test.stderr {
			t.Errorf("joolctl ready %s: code %d, stdout %q, stderr %q; want %d, %q, %q",
				test.args, code, stdout, stderr, test.code, test.stdout, test.stderr)
		}
	}
}

func TestReadyOfNobody(t *testing.T) {
	for _, args := range []string{"ready --all", "ready --all --wait 1ms"} {
		code, stdout, stderr := ran(append(strings.Fields(args), "--socket", filepath.Join(t.TempDir(), "none"))...)
		if code != 3 || stdout != "" || !strings.Contains(stderr, "no supervisor answers") {
			t.Errorf("joolctl %s: code %d, stdout %q, stderr %q", args, code, stdout, stderr)
		}
	}
}

// TestAskReady checks that askReady asks until the pairs are ready, even if no supervisor runs at first.
func TestAskReady(t *testing.T) {
	answers := []error{&supervisor.NoSupervisor{}, nil, nil}
	n := 0
	ready, err := (&program{stderr: io.Discard}).askReady(context.Background(), func(context.Context) (supervisor.Ready, error) {
		n++
		return supervisor.Ready{Ready: n == len(answers)}, answers[n-1]
	}, time.Minute)
	if err != nil || !ready.Ready || n != len(answers) {
		t.Errorf("%+v, %v after %d questions", ready, err, n)
	}
}
