package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"joolctl/configdir"
	"joolctl/internal/docstest"
	"joolctl/seal"
)

// others are programs of other projects in the documentation's command lines.
var others = []string{"apt-get", "cat", "cp", "mkdir", "cd", "install", "ip", "jool", "joold", "/usr/bin/joold", "/usr/libexec/joolctl/joold", "journalctl", "kill", "modprobe", "mv", "nc", "printf", "promtool", "rm", "sha256sum", "sysctl", "usermod", "go"}

// TestDocumentedCommands checks that each command line of the documentation is one that joolctl accepts, a target of the
// Makefile, or names a packaged unit.
func TestDocumentedCommands(t *testing.T) {
	ours := 0
	for _, c := range docstest.Commands(t, "joolctl") {
		var err error
		switch program := c.Words[0]; {
		case program == "joolctl":
			ours++
			err = parses(c.Words[1:], c.Mention)
		case program == "make":
			err = isTarget(c.Words[1:])
		case program == "systemctl":
			err = isUnit(c.Words[1:])
		case !slices.Contains(others, program):
			err = fmt.Errorf("unknown program %s", program)
		}
		if err != nil {
			t.Errorf("%s: %s: %v", c.Where, strings.Join(c.Words, " "), err)
		}
	}
	if ours < 10 {
		t.Errorf("only %d commands of ours", ours)
	}
}

// parses parses a command line without running it. A mention is a command without its arguments.
func parses(args []string, mention bool) error {
	root := newRoot(&program{stdout: io.Discard, stderr: io.Discard})
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	cmd, args, err := root.Find(args)
	if err != nil || mention {
		return err
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	if err := cmd.ParseFlags(args); err != nil {
		return err
	}
	if help, _ := cmd.Flags().GetBool("help"); help {
		return nil
	}
	if cmd == root {
		return fmt.Errorf("no command")
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func isTarget(args []string) error {
	text, err := os.ReadFile(filepath.Join(docstest.Root, "Makefile"))
	if err != nil {
		return err
	}
	for _, target := range args {
		if !strings.Contains(target, "=") && !regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(target)+`:`).Match(text) {
			return fmt.Errorf("the Makefile has no %s", target)
		}
	}
	return nil
}

// foreignUnits are units of other projects.
var foreignUnits = []string{"jool", "joold", "keepalived", "frr", "bird", "nat64-routes"}

func isUnit(args []string) error {
	units := 0
	for _, arg := range args[1:] {
		if strings.HasPrefix(arg, "-") {
			continue
		}
		units++
		file := strings.TrimSuffix(arg, ".service")
		if template, _, ok := strings.Cut(file, "@"); ok {
			file = template + "@"
		}
		if slices.Contains(foreignUnits, file) {
			continue
		}
		if _, err := os.Stat(filepath.Join(docstest.Root, "packaging", "systemd", file+".service")); err != nil {
			return err
		}
	}
	if units == 0 && args[0] != "daemon-reload" {
		return fmt.Errorf("no unit")
	}
	return nil
}

// TestDocumentedFiles checks that each JSON block of the documentation that follows a file's name is a valid file of
// that kind.
func TestDocumentedFiles(t *testing.T) {
	good := map[string]string{
		"netsocket.json": `{"multicast address": "ff08::db8:64:64", "multicast port": "6464", "in interface": "eth1", "out interface": "eth1", "reuseaddr": 1}`,
		"modsocket.json": `{"instance": "nat"}`,
	}
	found := 0
	for _, b := range docstest.Blocks(t, "json") {
		for kind := range good {
			if !strings.HasSuffix(strings.Trim(b.Before, "`:"), kind) {
				continue
			}
			found++
			dir := t.TempDir()
			for name, text := range good {
				if name == kind {
					text = strings.Join(b.Lines, "\n")
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			key := []byte(seal.NewKey(1).Line())
			if err := os.WriteFile(filepath.Join(dir, "blue.key"), key, 0o600); err != nil {
				t.Fatal(err)
			}
			pair := configdir.ReadPair("nat", filepath.Join(dir, "netsocket.json"), filepath.Join(dir, "modsocket.json"))
			for _, problem := range pair.Problems {
				t.Errorf("%s:%d: %v", b.File, b.Line, problem)
			}
		}
	}
	if found < 7 {
		t.Errorf("only %d files", found)
	}
}

// TestDocumentedLinks checks that links inside the project have an existing target.
func TestDocumentedLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]+)(#[^)]*)?\)`)
	for _, file := range docstest.Files(t) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}
