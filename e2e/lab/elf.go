package lab

import (
	"bytes"
	"debug/elf"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	multiarch = "x86_64-linux-gnu"
	loader    = "ld-linux-x86-64.so.2"
)

// libraryDirs are the directories of shared libraries below each of the roots, in the order of the roots.
func libraryDirs(roots ...string) []string {
	var dirs []string
	for _, r := range roots {
		for _, d := range []string{"usr/lib/" + multiarch, "lib/" + multiarch, "usr/lib64", "lib64", "usr/lib"} {
			dirs = append(dirs, filepath.Join(r, d))
		}
	}
	return dirs
}

// libraries finds the shared libraries that the programs need, and those that these need. It returns the file of
// each by its name, such as libc.so.6. Programs that are linked statically need none.
func libraries(dirs []string, programs ...string) (map[string]string, error) {
	found := map[string]string{}
	for queue := programs; len(queue) > 0; queue = queue[1:] {
		needed, err := neededLibraries(queue[0])
		if err != nil {
			return nil, err
		}
		for _, name := range needed {
			if found[name] != "" {
				continue
			}
			file, err := findLibrary(dirs, name)
			if err != nil {
				return nil, fmt.Errorf("%s needs %w", queue[0], err)
			}
			found[name] = file
			queue = append(queue, file)
		}
	}
	return found, nil
}

func neededLibraries(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	needed, err := f.ImportedLibraries()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return needed, nil
}

// runPath returns the directories, below root, in which a program looks for its own libraries first.
func runPath(root, file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	defer f.Close()
	entries, err := f.DynString(elf.DT_RUNPATH)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	var dirs []string
	for _, entry := range entries {
		for dir := range strings.SplitSeq(entry, ":") {
			dirs = append(dirs, filepath.Join(root, dir))
		}
	}
	return dirs, nil
}

func findLibrary(dirs []string, name string) (string, error) {
	for _, d := range dirs {
		file := filepath.Join(d, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", fmt.Errorf("the library %s, which is in none of %s", name, strings.Join(dirs, " "))
}

// moduleDepends lists the modules that a kernel module names as its dependencies.
func moduleDepends(file string) ([]string, error) {
	f, err := elf.Open(file)
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", file, err)
	}
	defer f.Close()
	section := f.Section(".modinfo")
	if section == nil {
		return nil, fmt.Errorf("kernel module %s: it has no section .modinfo", file)
	}
	data, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("kernel module %s: %w", file, err)
	}
	for field := range bytes.SplitSeq(data, []byte{0}) {
		if list, ok := strings.CutPrefix(string(field), "depends="); ok && list != "" {
			return strings.Split(list, ","), nil
		}
	}
	return nil, nil
}
