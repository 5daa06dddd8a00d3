package main

import (
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
)

// module is a Go module that the programs are linked with.
type module struct {
	path, version string
	// licence is the SPDX identifier, texts are the full licence and notice files.
	licence string
	texts   []string
}

// modules returns the modules of both programs, sorted by path, with Go's standard library last.
func (b *builder) modules() ([]module, error) {
	versions := make(map[string]string)
	for _, program := range programs {
		info, err := buildinfo.ReadFile(filepath.Join(b.work, b.arches[0], program))
		if err != nil {
			return nil, err
		}
		for _, dep := range info.Deps {
			versions[dep.Path] = dep.Version
		}
	}
	var all []module
	for path, version := range versions {
		dir, err := b.goOutput("list", "-m", "-f", "{{.Dir}}", path)
		if err != nil {
			return nil, err
		}
		m, err := readLicence(path, version, dir)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	slices.SortFunc(all, func(a, b module) int { return strings.Compare(a.path, b.path) })
	root, err := b.goOutput("env", "GOROOT")
	if err != nil {
		return nil, err
	}
	std, err := readLicence("std", strings.TrimPrefix(runtime.Version(), "go"), root)
	return append(all, std), err
}

func (b *builder) goOutput(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = b.root, b.goEnv(runtime.GOARCH)
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w", strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}

var licenceFile = regexp.MustCompile(`^(LICEN[CS]E|COPYING|NOTICE|PATENTS)(\.\w+)?$`)

// readLicence reads a module's licence. It fails if the licence is unknown, so that a new dependency is looked at.
func readLicence(path, version, dir string) (module, error) {
	m := module{path: path, version: version}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return m, fmt.Errorf("licence of %s: %w", path, err)
	}
	for _, e := range entries {
		if !licenceFile.MatchString(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return m, err
		}
		if m.licence == "" {
			m.licence = identifier(string(text))
		}
		m.texts = append(m.texts, string(text))
	}
	if m.licence == "" {
		return m, fmt.Errorf("licence of %s in %s: unknown", path, dir)
	}
	return m, nil
}

// identifier is a licence's SPDX identifier; empty if the text is unknown.
func identifier(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	has := func(part string) bool { return strings.Contains(text, part) }
	switch {
	case has("Apache License Version 2.0"):
		return "Apache-2.0"
	case has("Permission is hereby granted, free of charge"):
		return "MIT"
	case has("Redistributions in binary form must reproduce") && has("Neither the name"):
		return "BSD-3-Clause"
	case has("Redistributions in binary form must reproduce"):
		return "BSD-2-Clause"
	}
	return ""
}

// copyright returns the text of /usr/share/doc/joolctl/copyright. Every Debian system has the Apache License; the other
// licences are included in full.
func copyright(modules []module) string {
	var out strings.Builder
	out.WriteString(`joolctl is Copyright the joolctl maintainers. It is licensed under the Apache
License, Version 2.0. On Debian systems the full text is in
/usr/share/common-licenses/Apache-2.0, on others in
/usr/share/licenses/joolctl/LICENSE.

The programs are static. They contain the following modules:

`)
	for _, m := range modules {
		fmt.Fprintf(&out, "  %s %s (%s)\n", m.path, m.version, m.licence)
	}
	for _, m := range modules {
		fmt.Fprintf(&out, "\n%s\n%s %s\n\n", strings.Repeat("-", 72), m.path, m.version)
		for _, text := range m.texts {
			if identifier(text) == "Apache-2.0" {
				text = "Apache License, Version 2.0, as above.\n"
			}
			out.WriteString(strings.TrimSpace(text) + "\n")
		}
	}
	return out.String()
}
