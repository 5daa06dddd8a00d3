package lab

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Program makes a program of a Debian package of the host's own suite ready to run in a machine, where it has the
// given path, as in the package. It returns what [Machine.Files] needs for that. The program brings its own
// libraries, for those of the machine are of another suite. Nothing is installed on the host. The first call
// downloads, which takes root and a network; the result is kept with the lab.
func (l *Lab) Program(ctx context.Context, log Logf, pkg, program string) (map[string]string, error) {
	if log == nil {
		log = func(string, ...any) {}
	}
	unlock, err := lock(ctx, filepath.Dir(l.dir), log)
	if err != nil {
		return nil, err
	}
	defer unlock()
	name := path.Base(program)
	kept := l.path("programs", name)
	if !exists(kept) {
		log("downloading %s for the machines", pkg)
		updateLists(ctx, log)
		if err := l.prepareProgram(ctx, pkg, program, kept); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrUnavailable, pkg, err)
		}
	}
	libs, err := filepath.Glob(filepath.Join(kept, "lib", "*"))
	if err != nil {
		return nil, err
	}
	guest := path.Join("/programs", name)
	files := map[string]string{program: filepath.Join(kept, "start"), path.Join(guest, name): filepath.Join(kept, name)}
	for _, lib := range libs {
		files[path.Join(guest, "lib", filepath.Base(lib))] = lib
	}
	return files, nil
}

// prepareProgram downloads a package and those of its dependencies that the host lacks, and stores the program with its
// libraries in the directory kept. The script "start" in that directory starts the program in the machine.
func (l *Lab) prepareProgram(ctx context.Context, pkg, program, kept string) error {
	name := path.Base(program)
	tmp := l.path("tmp-" + name)
	if err := os.RemoveAll(tmp); err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	root, out := filepath.Join(tmp, "root"), filepath.Join(tmp, "out")
	for _, dir := range []string{filepath.Join(tmp, "archives", "partial"), root, filepath.Join(out, "lib")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if _, err := run(ctx, "", "apt-get", "-qq", "-y", "-o", "DPkg::Lock::Timeout=300", "-o", "APT::Sandbox::User=root",
		"-o", "Dir::Cache::archives="+filepath.Join(tmp, "archives"), "--no-install-recommends", "--reinstall", "--download-only", "install", pkg); err != nil {
		return err
	}
	if err := extract(ctx, filepath.Join(tmp, "archives"), root); err != nil {
		return err
	}
	file := filepath.Join(root, program)
	own, err := runPath(root, file)
	if err != nil {
		return err
	}
	dirs := append(own, libraryDirs(root, "/")...)
	libs, err := libraries(dirs, file)
	if err != nil {
		return err
	}
	if libs[loader], err = findLibrary(dirs, loader); err != nil {
		return err
	}
	for lib, from := range libs {
		if err := copyFile(filepath.Join(out, "lib", lib), from); err != nil {
			return err
		}
	}
	if err := copyFile(filepath.Join(out, name), file); err != nil {
		return err
	}
	in := path.Join("/programs", name)
	start := []string{"#!/bin/sh", fmt.Sprintf(`exec %s/lib/%s --library-path %[1]s/lib %[1]s/%[3]s "$@"`, in, loader, name), ""}
	if err := os.WriteFile(filepath.Join(out, "start"), []byte(strings.Join(start, "\n")), 0o755); err != nil {
		return err
	}
	return replaceDir(out, kept)
}
