package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// sums is the file with the checksums of the others.
const sums = "SHA256SUMS"

const maintainer = "joolctl maintainers <maintainers@users.noreply.r-seed-8be0a9cc.example>"

// programs are the two programs, by the directory below cmd.
var programs = []string{"joolctl", "joold"}

type options struct {
	// root is the project's directory; out gets the files.
	root, out       string
	arches, formats []string
	release         bool
	// as is the version to build as, if it is not the commit's.
	as string
}

// builder is one build.
type builder struct {
	options
	source source
	// work is a temporary directory. It holds the files that nfpm packs.
	work string
}

// build writes the packages, their checksums and the SBOM to o.out.
func build(o options) error {
	src, err := identify(o.root)
	if err != nil {
		return err
	}
	if o.as != "" {
		if err := checkVersion(o.as); err != nil {
			return err
		}
		src.version, src.tagged = o.as, false
	}
	changes, err := os.ReadFile(filepath.Join(o.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	var notes string
	if o.release {
		if !src.tagged {
			return fmt.Errorf("a release is built from a clean tag; this is %s", src.version)
		}
		if notes, err = releaseNotes(string(changes), src.version); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(o.out); err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "joolctl-packages-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if o.out, err = filepath.Abs(o.out); err != nil {
		return err
	}
	b := builder{options: o, source: src, work: work}
	steps := []func() error{b.compile, b.pages, b.texts, b.stage, b.packages, b.bill}
	if o.release {
		steps = append(steps, b.tarballs, func() error { return b.write("RELEASE-NOTES.md", []byte(notes)) })
	}
	for _, step := range append(steps, b.checksums) {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// compile builds the programs of each architecture.
func (b *builder) compile() error {
	for _, arch := range b.arches {
		args := []string{"build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w " + b.source.linkerFlags(), "-o", filepath.Join(b.work, arch) + "/"}
		for _, program := range programs {
			args = append(args, "./cmd/"+program)
		}
		if err := run(b.root, b.goEnv(arch), "go", args...); err != nil {
			return err
		}
	}
	return nil
}

// pages writes manual pages and completions.
func (b *builder) pages() error {
	raw := filepath.Join(b.work, "pages")
	man := filepath.Join(b.work, "doc", "man")
	for _, dir := range []string{raw, man} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, program := range programs {
		if err := run(b.root, b.goEnv(runtime.GOARCH), "go", "run", "-trimpath", "-buildvcs=false", "-tags", "manpages", "-ldflags", b.source.linkerFlags(), "./cmd/"+program, raw); err != nil {
			return err
		}
	}
	files, err := os.ReadDir(raw)
	if err != nil {
		return err
	}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(raw, f.Name()))
		if err != nil {
			return err
		}
		to := filepath.Join(b.work, "doc", f.Name())
		if ext := filepath.Ext(f.Name()); ext == ".5" || ext == ".8" {
			to, text = filepath.Join(man, f.Name()+".gz"), zip(text)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// texts writes the changelogs and the licences.
func (b *builder) texts() error {
	doc := filepath.Join(b.work, "doc")
	changes, err := os.ReadFile(filepath.Join(b.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	alerts, err := os.ReadFile(filepath.Join(b.root, "docs", "alerts.md"))
	if err != nil {
		return err
	}
	metrics, err := os.ReadFile(filepath.Join(b.root, "docs", "metrics.md"))
	if err != nil {
		return err
	}
	modules, err := b.modules()
	if err != nil {
		return err
	}
	debian := fmt.Sprintf("joolctl (%s-1) unstable; urgency=medium\n\n  * Release %s. changelog.gz has the changes.\n\n -- %s  %s\n",
		debianVersion(b.source.version), b.source.version, maintainer, b.source.date().Format(time.RFC1123Z))
	for name, text := range map[string][]byte{
		"changelog.gz":        zip(changes),
		"changelog.Debian.gz": zip([]byte(debian)),
		"copyright":           []byte(copyright(modules)),
		"alerts.md":           alerts,
		"metrics.md":          metrics,
	} {
		if err := os.WriteFile(filepath.Join(doc, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// stage copies the files that the packages have from the project, and gives all files one time: nfpm packs the times
// of some.
func (b *builder) stage() error {
	if err := os.CopyFS(filepath.Join(b.work, "packaging"), os.DirFS(filepath.Join(b.root, "packaging"))); err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(b.root, "LICENSE"))
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.work, "LICENSE"), licence, 0o644); err != nil {
		return err
	}
	return filepath.WalkDir(b.work, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(path, b.source.date(), b.source.date())
	})
}

// packages runs nfpm, which is a module of its own because of its many dependencies.
func (b *builder) packages() error {
	nfpm := filepath.Join(b.work, "nfpm")
	if err := run(b.root, b.goEnv(runtime.GOARCH), "go", "-C", "packaging/nfpm", "build", "-buildvcs=false", "-o", nfpm, "github.com/goreleaser/nfpm/v2/cmd/nfpm"); err != nil {
		return err
	}
	for _, arch := range b.arches {
		for _, format := range b.formats {
			version := debianVersion(b.source.version)
			if format == "apk" {
				version = alpineVersion(b.source.version)
			}
			env := append(b.env(), "VERSION="+version, "ARCH="+arch, "MAINTAINER="+maintainer)
			if err := run(b.work, env, nfpm, "package", "--config", "packaging/nfpm/nfpm.yaml", "--packager", format, "--target", b.out+"/"); err != nil {
				return err
			}
		}
	}
	return nil
}

// env is the environment of all programs that are run: nothing in it depends on
// the place, the time zone or the language.
func (b *builder) env() []string {
	return append(os.Environ(), "SOURCE_DATE_EPOCH="+strconv.FormatInt(b.source.epoch, 10), "TZ=UTC", "LC_ALL=C")
}

func (b *builder) goEnv(arch string) []string {
	return append(b.env(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch, "GOAMD64=v1", "GOARM64=v8.0", "GOFLAGS=", "GOWORK=off", "GOEXPERIMENT=")
}

func run(dir string, env []string, program string, args ...string) error {
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Env = dir, env
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w\n%s", program, strings.Join(args, " "), err, out)
	}
	return nil
}

func (b *builder) write(name string, data []byte) error {
	return os.WriteFile(filepath.Join(b.out, name), data, 0o644)
}

// zip compresses without a name and a time. Writes to a buffer do not fail.
func zip(data []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // fails for unknown levels only
	w.Write(data)
	w.Close()
	return out.Bytes()
}

// rebuild builds again, from a copy in another directory, and compares.
func rebuild(o options) error {
	dir, err := os.MkdirTemp("", "joolctl-rebuild-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	again := o
	again.release = false // the copy has no tags
	again.root, again.out = filepath.Join(dir, "another place"), filepath.Join(dir, "dist")
	if err := export(o.root, again.root); err != nil {
		return err
	}
	if err := build(again); err != nil {
		return err
	}
	return compare(o.out, again.out)
}

// compare reports the files of b that are not the same in a. The checksums follow from the other files; a may have more.
func compare(a, b string) error {
	entries, err := os.ReadDir(b)
	if err != nil {
		return err
	}
	var problems []error
	for _, e := range entries {
		if e.Name() == sums {
			continue
		}
		x, errX := os.ReadFile(filepath.Join(a, e.Name()))
		y, errY := os.ReadFile(filepath.Join(b, e.Name()))
		if errX != nil || errY != nil {
			problems = append(problems, errX, errY)
		} else if !bytes.Equal(x, y) {
			problems = append(problems, fmt.Errorf("%s differs between two builds", e.Name()))
		}
	}
	return errors.Join(problems...)
}
