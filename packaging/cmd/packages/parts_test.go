package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseSource(t *testing.T) {
	const hash = "c9c8618fbc450b1d1e5a5ff4f3ad61f5ddbbd87f"
	for _, c := range []struct {
		text                    string
		dirty                   bool
		version, debian, alpine string
		tagged                  bool
	}{
		{"v0.1.0 " + hash + " 1700000000", false, "v0.1.0", "0.1.0", "0.1.0", true},
		{"v0.1.0-rc1 " + hash + " 1700000000", false, "v0.1.0-rc1", "0.1.0~rc1", "0.1.0_rc1", true},
		{"v0.1.0-rc1-5-gc9c8618 " + hash + " 1700000000", false, "v0.1.0-rc1+5.gc9c8618", "0.1.0~rc1+5.gc9c8618", "0.1.0_rc1_p5", false},
		{"v0.1.0-5-gc9c8618 " + hash + " 1700000000", true, "v0.1.0+5.gc9c8618.dirty", "0.1.0+5.gc9c8618.dirty", "0.1.0_p5", false},
		{"v0.1.0 " + hash + " 1700000000", true, "v0.1.0+dirty", "0.1.0+dirty", "0.1.0", false},
		{" " + hash + " 1700000000\n", false, "v0.0.0+0.gc9c8618", "0.0.0+0.gc9c8618", "0.0.0_p0", false},
	} {
		s, err := parseSource(c.text, c.dirty)
		if err != nil {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		got := []any{s.version, debianVersion(s.version), alpineVersion(s.version), s.tagged, s.epoch, strings.TrimSuffix(s.commit, "+dirty")}
		if d := cmp.Diff([]any{c.version, c.debian, c.alpine, c.tagged, int64(1700000000), hash}, got); d != "" {
			t.Errorf("%q: %s", c.text, d)
		}
	}
	for _, text := range []string{"", "$Format:%(describe:tags=true)$ $Format:%H$ $Format:%ct$", "v1 " + hash + " 1", "v0.1.0-pre " + hash + " 1", "v0.1.0 " + hash + " now"} {
		if s, err := parseSource(text, false); err == nil {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

// TestOrder: dpkg takes each version for newer than the one before.
func TestOrder(t *testing.T) {
	need(t, "dpkg")
	versions := []string{"v0.0.0+402.gda56c7e", "v0.1.0-rc1", "v0.1.0-rc1+2.g1234567", "v0.1.0-rc1+10.g0234567", "v0.1.0-rc2", "v0.1.0", "v0.1.0+1.g1234567", "v0.1.1-rc1"}
	for i := range versions[1:] {
		a, b := debianVersion(versions[i])+"-1", debianVersion(versions[i+1])+"-1"
		if err := exec.Command("dpkg", "--compare-versions", a, "lt", b).Run(); err != nil {
			t.Errorf("%s is not older than %s", a, b)
		}
	}
}

func TestReleaseNotes(t *testing.T) {
	const text = "# Changelog\n\n## [Unreleased]\n\n- soon\n\n## [0.2.0] - 2026-12-01\n\n### Added\n- more\n\n## [0.1.0] - 2026-11-01\n\nThe first.\n\n## [0.0.1] - 2026-10-01\n"
	for version, want := range map[string]string{
		"v0.2.0": "# joolctl v0.2.0\n\n### Added\n- more\n",
		"v0.1.0": "# joolctl v0.1.0\n\nThe first.\n",
		"v0.0.1": "", "v0.2.0-rc1": "", "v0.2": "",
	} {
		got, err := releaseNotes(text, version)
		if got != want || (want == "") != (err != nil) {
			t.Errorf("%s: %q, %v", version, got, err)
		}
	}
}

func TestIdentifier(t *testing.T) {
	apache, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		string(apache): "Apache-2.0",
		"MIT License\n\nPermission is hereby granted, free of\ncharge, to":         "MIT",
		"2. Redistributions in binary form must reproduce\n3. Neither the name of": "BSD-3-Clause",
		"2. Redistributions in binary form must\nreproduce":                        "BSD-2-Clause",
		"GNU GENERAL PUBLIC LICENSE":                                               "",
	} {
		if got := identifier(text); got != want {
			t.Errorf("%.40q: %q, want %q", text, got, want)
		}
	}
}

// TestReleaseNeedsTag: nothing is released from a tree without a tag, or with changed files.
func TestReleaseNeedsTag(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=x", "-c", "user.email=x@example.com"}, args...)
		if out, err := git(dir, args...); err != nil {
			t.Fatal(err, out)
		}
	}
	wants := func(step, problem string) {
		t.Helper()
		err := build(options{root: dir, out: filepath.Join(t.TempDir(), "dist"), arches: []string{"amd64"}, release: true})
		if err == nil || !strings.Contains(err.Error(), problem) {
			t.Errorf("%s: %v, want %q", step, err, problem)
		}
	}
	write("CHANGELOG.md", "## [0.1.0-rc1] - 2026-11-29\n\nThe first.\n")
	run("init", "-q")
	run("add", ".")
	run("commit", "-qm", "1")
	wants("no tag", "this is v0.0.0+1.g")
	run("tag", "v0.1.0-rc1")
	write("CHANGELOG.md", "## [0.1.0-rc1] - 2026-11-29\n\nThe very first.\n")
	wants("a changed file", "this is v0.1.0-rc1+dirty")
	run("commit", "-qam", "2")
	wants("a commit after the tag", "this is v0.1.0-rc1+1.g")
	run("tag", "v0.1.0-rc2")
	wants("a tag that the changelog does not have", `no section "## [0.1.0-rc2]"`)
	if s, err := identify(dir); err != nil || !s.tagged || s.version != "v0.1.0-rc2" {
		t.Errorf("%+v, %v", s, err)
	}
}

// TestCompare: a file that differs or is missing is reported, checksums and files of the first build alone are not.
func TestCompare(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(first, sums, "1")
	write(second, sums, "2")
	write(first, "same.deb", "x")
	write(second, "same.deb", "x")
	write(first, "notes.md", "x")
	if err := compare(first, second); err != nil {
		t.Error(err)
	}
	write(first, "other.deb", "x")
	write(second, "other.deb", "y")
	write(second, "new.deb", "y")
	err := compare(first, second)
	for _, want := range []string{"other.deb differs between two builds", "new.deb: no such file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
}
