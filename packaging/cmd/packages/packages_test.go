package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"debug/buildinfo"
	"debug/elf"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/nsthread/nstest"
	"joolctl/packaging/systemd/container"
)

const root = "../../.."

var update = flag.Bool("update", false, "write the golden files again")

// TestPackages builds the packages of one architecture twice, in different directories, and checks their
// contents and installs them.
func TestPackages(t *testing.T) {
	nstest.NeedRoot(t, "installing packages")
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		t.Skipf("not a clone: %v", err)
	}
	first := options{root: root, out: filepath.Join(t.TempDir(), "dist"), arches: []string{"amd64"}, formats: []string{"deb", "rpm", "apk"}}
	if err := build(first); err != nil {
		t.Fatal(err)
	}
	t.Run("reproducible", func(t *testing.T) {
		t.Parallel()
		if err := rebuild(first); err != nil {
			t.Error(err)
		}
	})
	find := func(pattern string) string {
		files, err := filepath.Glob(filepath.Join(first.out, pattern))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s: %v", pattern, files)
		}
		return files[0]
	}
	deb, rpm, apk := find("*.deb"), find("*.rpm"), find("*.apk")
	t.Run("deb", func(t *testing.T) { testDeb(t, deb) })
	t.Run("rpm", func(t *testing.T) { testRPM(t, rpm) })
	t.Run("apk", func(t *testing.T) { testAPK(t, apk) })
	t.Run("sbom", func(t *testing.T) { testBill(t, find("*.cdx.json")) })
	t.Run("checksums", func(t *testing.T) {
		cmd := exec.Command("sha256sum", "--check", "--strict", sums)
		cmd.Dir = first.out
		if out, err := cmd.CombinedOutput(); err != nil || bytes.Count(out, []byte(": OK")) != 4 {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("lintian", func(t *testing.T) {
		t.Parallel()
		need(t, "lintian")
		if out, err := exec.Command("lintian", "--allow-root", "--fail-on", "error", deb).CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
	t.Run("install", func(t *testing.T) {
		t.Parallel()
		testInstall(t, deb)
	})
}

func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Skip(err)
	}
}

func output(t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.Command(program, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", program, args, err)
	}
	return string(out)
}

// golden compares lines with a file of testdata.
func golden(t *testing.T, name string, lines []string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *update {
		if err := os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(strings.TrimSpace(string(want)), "\n"), lines); d != "" {
		t.Errorf("%s (-want +got; rewrite with -update):\n%s", path, d)
	}
}

// testDeb checks files, modes and owners, the fields, and the programs themselves.
func testDeb(t *testing.T, deb string) {
	need(t, "dpkg-deb")
	var lines []string
	for line := range strings.Lines(output(t, "dpkg-deb", "-c", deb)) {
		f := strings.Fields(line)
		lines = append(lines, strings.Join([]string{f[0], f[1], f[5]}, " "))
	}
	for field := range strings.Lines(output(t, "dpkg-deb", "-f", deb, "Package", "Architecture", "Depends", "Recommends", "Section", "Priority")) {
		lines = append(lines, strings.TrimSpace(field))
	}
	golden(t, "deb", lines)

	dir := t.TempDir()
	output(t, "dpkg-deb", "-x", deb, dir)
	for _, program := range []string{"usr/bin/joolctl", "usr/libexec/joolctl/joold"} {
		path := filepath.Join(dir, program)
		info, err := buildinfo.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range info.Deps {
			if strings.Contains(dep.Path, "md2man") {
				t.Errorf("%s has the generator of manual pages: %s", program, dep.Path)
			}
		}
		f, err := elf.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if libs, _ := f.ImportedLibraries(); len(libs) > 0 || f.Section(".interp") != nil {
			t.Errorf("%s is not static: %q", program, libs)
		}
		f.Close()
	}
	src, err := identify(root)
	if err != nil {
		t.Fatal(err)
	}
	var v struct{ Version, Commit string }
	if err := json.Unmarshal([]byte(output(t, filepath.Join(dir, "usr/bin/joolctl"), "version", "-o", "json")), &v); err != nil {
		t.Fatal(err)
	}
	if v.Version != src.version || v.Commit != src.commit {
		t.Errorf("the program is %+v, the source %+v", v, src)
	}
	if v := strings.TrimSpace(output(t, filepath.Join(dir, "usr/libexec/joolctl/joold"), "--version")); v != src.version {
		t.Errorf("joold is %s, the source %s", v, src.version)
	}
	for shell, file := range map[string]string{
		"bash": "bash-completion/completions/joolctl", "zsh": "zsh/vendor-completions/_joolctl", "fish": "fish/vendor_completions.d/joolctl.fish",
	} {
		if _, err := exec.LookPath(shell); err != nil {
			continue
		}
		if out, err := exec.Command(shell, "-n", filepath.Join(dir, "usr/share", file)).CombinedOutput(); err != nil {
			t.Errorf("completions of %s: %v\n%s", shell, err, out)
		}
	}
}

func testRPM(t *testing.T, rpm string) {
	need(t, "rpm")
	lines := strings.Split(strings.TrimSpace(output(t, "rpm", "-qp", "--qf", "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]", rpm)), "\n")
	for line := range strings.Lines(output(t, "rpm", "-qp", "--recommends", rpm)) {
		lines = append(lines, "recommends "+strings.TrimSpace(line))
	}
	golden(t, "rpm", lines)
}

// testAPK reads the three parts of an .apk, which are tarballs behind each other.
func testAPK(t *testing.T, apk string) {
	f, err := os.Open(apk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%v %d/%d %s", h.FileInfo().Mode(), h.Uid, h.Gid, h.Name))
	}
	golden(t, "apk", lines)
}

// testBill compares the SBOM with the dependencies that the go command lists.
func testBill(t *testing.T, path string) {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b bom
	if err := json.Unmarshal(text, &b); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{if not .Main}}{{.Path}}{{end}}{{end}}", "./cmd/joolctl", "./cmd/joold")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := append(strings.Fields(string(out)), "std")
	slices.Sort(want)
	var got []string
	for _, c := range b.Components {
		got = append(got, c.Name)
	}
	slices.Sort(got)
	if d := cmp.Diff(slices.Compact(want), got); d != "" {
		t.Error(d)
	}
}

// testInstall installs, upgrades, downgrades, removes and purges in a container with systemd.
func testInstall(t *testing.T, deb string) {
	container.Need(t, "dpkg-deb", "setpriv")
	dir := t.TempDir()
	another(t, deb, filepath.Join(dir, "new.deb"))
	for name, from := range map[string]string{"old.deb": deb, "inside.sh": "testdata/inside.sh"} {
		b, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	out, journal := container.Run(t, dir)
	golden(t, "install", strings.Split(strings.TrimSpace(out), "\n"))
	if t.Failed() {
		t.Logf("the journal:\n%s", journal)
	}
}

// another makes a package of a higher version, whose joolctl ends in " another".
func another(t *testing.T, deb, to string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "deb")
	output(t, "dpkg-deb", "-R", deb, dir)
	control := filepath.Join(dir, "DEBIAN/control")
	text, err := os.ReadFile(control)
	if err != nil {
		t.Fatal(err)
	}
	text = regexp.MustCompile(`(?m)^Version: .*`).ReplaceAll(text, []byte("Version: 9999"))
	if err := os.WriteFile(control, text, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "usr/bin/joolctl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(" another")
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	output(t, "dpkg-deb", "--root-owner-group", "-Znone", "-b", dir, to)
}
