package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"joolctl/internal/docstest"
)

var (
	keepalivedDir    = filepath.Join(docstest.Root, "packaging", "keepalived")
	keepalivedScript = filepath.Join(keepalivedDir, "joolctl-keepalived")
)

// TestKeepalivedScript runs the packaged script, with a joolctl that notes what
// it is asked and always fails, as keepalived does, and holds the command lines
// against the real one.
func TestKeepalivedScript(t *testing.T) {
	dir := t.TempDir()
	asked := filepath.Join(dir, "asked")
	stub := "#!/bin/sh\necho \"$@\" >>" + asked + "\nexit 1\n"
	if err := os.WriteFile(filepath.Join(dir, "joolctl"), []byte(stub), 0o755); err != nil {
		t.Fatal(err)
	}
	script := func(args string) (code int) {
		cmd := exec.Command("sh", append([]string{keepalivedScript}, strings.Fields(args)...)...)
		cmd.Env = append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), "JOOLCTL_KEEPALIVED_STATES="+filepath.Join(dir, "states"))
		var exit *exec.ExitError
		if err := cmd.Run(); errors.As(err, &exit) {
			return exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return 0
	}
	// In this order: a host starts, takes over, steps down.
	for _, test := range []struct {
		args, joolctl string
		code          int
	}{
		{"check nat64 --all", "ready --patience 5m --all", 1},
		{"notify --all INSTANCE nat64 BACKUP 90", "advertise --all", 1},
		{"check nat64 blue red", "ready --patience 5m blue red", 1},
		{"notify --all INSTANCE nat64 MASTER 100", "", 0},
		{"check nat64 --all", "", 0},
		{"check other --all", "ready --patience 5m --all", 1},
		{"notify blue red INSTANCE nat64 BACKUP 100", "advertise blue red", 1},
		{"check nat64 --all", "ready --patience 5m --all", 1},
		{"notify --all INSTANCE nat64 FAULT 100", "", 0},
		{"check nat64 --all", "ready --patience 5m --all", 1},
		{"", "", 2},
		{"stop", "", 2},
	} {
		code := script(test.args)
		text, _ := os.ReadFile(asked) // absent: it was not asked
		os.Remove(asked)
		if got := strings.TrimSpace(string(text)); got != test.joolctl || code != test.code {
			t.Errorf("%s: code %d, joolctl %s; want %d, joolctl %s", test.args, code, got, test.code, test.joolctl)
		}
		if test.joolctl != "" {
			if err := parses(strings.Fields(test.joolctl), false); err != nil {
				t.Errorf("joolctl %s: %v", test.joolctl, err)
			}
		}
	}
}

// TestKeepalivedConfiguration: what the configuration and the README call is
// what the script takes.
func TestKeepalivedConfiguration(t *testing.T) {
	calls := 0
	call := regexp.MustCompile(`(?m)^\s*(script|notify) "/usr/libexec/joolctl/joolctl-keepalived (check \w+|notify)( (--all|\w+))+"$`)
	mention := regexp.MustCompile(`(?m)^\s*(script|notify) .*$`)
	for _, file := range []string{"keepalived.conf", "README.md"} {
		text, err := os.ReadFile(filepath.Join(keepalivedDir, file))
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range mention.FindAllString(string(text), -1) {
			calls++
			if !call.MatchString(line) {
				t.Errorf("%s: %s", file, line)
			}
		}
	}
	if calls != 4 {
		t.Errorf("%d calls, want 4", calls)
	}
}
