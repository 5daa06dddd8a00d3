package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// joolFiles are the files of a version of Jool that the lab keeps: the kernel modules in the order in which to load
// them, and the tools.
var (
	joolModules = []string{"jool_common.ko", "jool.ko"}
	joolTools   = []string{"jool", "joold"}
)

// prepareSuite opens a suite, and builds its Jool unless an earlier run did.
func (l *Lab) prepareSuite(ctx context.Context, log Logf, name, mirror, release string) (version string, s *suite, err error) {
	s, err = openSuite(ctx, name, mirror, l.path("tmp", "apt-"+name))
	if err != nil {
		return "", nil, err
	}
	mark := l.path("suites", name)
	if version, err := readLine(mark); err == nil && exists(l.path("jool", version)) {
		return version, s, nil
	}
	log("building the Jool of Debian %s", name)
	version, err = l.buildJool(ctx, s, l.path("tmp", "jool-"+name), release)
	if err != nil {
		return "", nil, err
	}
	if err := os.MkdirAll(filepath.Dir(mark), 0o755); err != nil {
		return "", nil, err
	}
	return version, s, writeWhole(mark, version+"\n")
}

// buildJool builds the kernel modules of a suite's Jool in the directory dir, and moves them with the tools to
// their place.
func (l *Lab) buildJool(ctx context.Context, s *suite, dir, release string) (version string, err error) {
	root, err := s.unpack(ctx, dir, "jool-dkms", "jool-tools")
	if err != nil {
		return "", err
	}
	sources, err := filepath.Glob(filepath.Join(root, "usr", "src", "jool-*"))
	if err != nil || len(sources) != 1 {
		return "", fmt.Errorf("package jool-dkms: expected one directory usr/src/jool-VERSION, found %q", sources)
	}
	version = sources[0][strings.LastIndexByte(sources[0], '-')+1:] // some are called jool-dkms-VERSION
	if exists(l.path("jool", version)) {
		return version, nil
	}
	mod := filepath.Join(sources[0], "src", "mod")
	for _, part := range []string{"common", "nat64"} {
		if _, err := run(ctx, dir, "make", "-s", "-j", strconv.Itoa(runtime.NumCPU()), "-C", "/usr/src/linux-headers-"+release,
			"M="+filepath.Join(mod, part), "modules"); err != nil {
			return "", fmt.Errorf("the modules of Jool %s don't build for Linux %s: %w", version, release, err)
		}
	}
	out := filepath.Join(dir, "out")
	if err := os.Mkdir(out, 0o755); err != nil {
		return "", err
	}
	for _, ko := range []string{"common/jool_common.ko", "nat64/jool.ko"} {
		if _, err := run(ctx, dir, "strip", "--strip-debug", "-o", filepath.Join(out, filepath.Base(ko)), filepath.Join(mod, ko)); err != nil {
			return "", err
		}
	}
	for _, tool := range joolTools {
		if err := copyFile(filepath.Join(out, tool), filepath.Join(root, "usr", "bin", tool)); err != nil {
			return "", err
		}
	}
	return version, replaceDir(out, l.path("jool", version))
}

// joolDepends lists the modules that these versions of Jool need, without Jool's own.
func (l *Lab) joolDepends(versions ...string) ([]string, error) {
	seen := map[string]bool{"jool_common": true}
	var list []string
	for _, v := range versions {
		for _, ko := range joolModules {
			depends, err := moduleDepends(l.path("jool", v, ko))
			if err != nil {
				return nil, err
			}
			for _, d := range depends {
				if !seen[d] {
					seen[d] = true
					list = append(list, d)
				}
			}
		}
	}
	return list, nil
}
