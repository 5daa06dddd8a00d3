package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// releaseNotes is the section of a version in CHANGELOG.md, without its heading.
func releaseNotes(changelog, version string) (string, error) {
	heading := "## [" + strings.TrimPrefix(version, "v") + "]"
	var notes []string
	found := false
	for line := range strings.SplitSeq(changelog, "\n") {
		switch {
		case strings.HasPrefix(line, "## "):
			if found {
				return finish(notes, version)
			}
			found = strings.HasPrefix(line, heading)
		case found:
			notes = append(notes, line)
		}
	}
	if !found {
		return "", fmt.Errorf("CHANGELOG.md has no section %q", heading)
	}
	return finish(notes, version)
}

func finish(notes []string, version string) (string, error) {
	text := strings.TrimSpace(strings.Join(notes, "\n"))
	if text == "" {
		return "", fmt.Errorf("CHANGELOG.md says nothing of %s", version)
	}
	return "# joolctl " + version + "\n\n" + text + "\n", nil
}

// tarballs writes the source, and for each architecture the programs with all that the packages have.
func (b *builder) tarballs() error {
	name := "joolctl-" + b.source.version
	src, err := git(b.root, "archive", "--format=tar", "--prefix="+name+"/", "HEAD")
	if err != nil {
		return err
	}
	if err := b.write(name+".tar.gz", zip([]byte(src))); err != nil {
		return err
	}
	for _, arch := range b.arches {
		dir := name + "-linux-" + arch
		data, err := b.binaryTarball(dir, arch)
		if err != nil {
			return err
		}
		if err := b.write(dir+".tar.gz", zip(data)); err != nil {
			return err
		}
	}
	return nil
}

// binaryFiles returns the other files of a binary tarball: names in the tarball, and paths. A directory is copied whole.
func (b *builder) binaryFiles() [][2]string {
	doc := filepath.Join(b.work, "doc")
	return [][2]string{
		{"LICENSE", filepath.Join(b.root, "LICENSE")},
		{"CHANGELOG.md", filepath.Join(b.root, "CHANGELOG.md")},
		{"README.md", filepath.Join(b.root, "README.md")},
		{"copyright", filepath.Join(doc, "copyright")},
		{"man", filepath.Join(doc, "man")},
		{"completions/joolctl.bash", filepath.Join(doc, "joolctl.bash")},
		{"completions/joolctl.zsh", filepath.Join(doc, "joolctl.zsh")},
		{"completions/joolctl.fish", filepath.Join(doc, "joolctl.fish")},
		{"systemd/joolctl.service", filepath.Join(b.root, "packaging/systemd/joolctl.service")},
		{"systemd/joold@.service", filepath.Join(b.root, "packaging/systemd/joold@.service")},
		{"sysusers", filepath.Join(b.root, "packaging/sysusers")},
		{"openrc", filepath.Join(b.root, "packaging/openrc")},
		{"openwrt", filepath.Join(b.root, "packaging/openwrt")},
		{"keepalived", filepath.Join(b.root, "packaging/keepalived")},
		{"bgp", filepath.Join(b.root, "packaging/bgp")},
	}
}

func (b *builder) binaryTarball(dir, arch string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(name, path string) error {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		mode := int64(0o644)
		if bytes.HasPrefix(data, []byte("#!")) || bytes.HasPrefix(data, []byte("\x7fELF")) {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Name: dir + "/" + name, Mode: mode, Size: int64(len(data)), ModTime: b.source.date(), Uname: "root", Gname: "root"}); err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	for _, program := range programs {
		if err := add(program, filepath.Join(b.work, arch, program)); err != nil {
			return nil, err
		}
	}
	for _, f := range b.binaryFiles() {
		entries, err := os.ReadDir(f[1])
		if err != nil { // a file
			if err := add(f[0], f[1]); err != nil {
				return nil, err
			}
		}
		for _, e := range entries {
			if err := add(f[0]+"/"+e.Name(), filepath.Join(f[1], e.Name())); err != nil {
				return nil, err
			}
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
