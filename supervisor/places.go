package supervisor

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/fsnotify/fsnotify"

	"joolctl/configdir"
)

// isLimit is true for the errors of inotify's limits.
func isLimit(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENOMEM)
}

// places are where changes are looked for.
type places struct {
	// names are the paths that the directory of pairs goes by, and parents the
	// directories in which these stand.
	names, parents []string
	// inside are the directory itself and those of its pairs.
	inside []string
	// targets are what links in them lead to, elsewhere the directories of
	// those.
	targets   map[string]bool
	elsewhere []string
	// keyFiles are the paths of the key files that the netsocket files name.
	keyFiles []string
}

// placesOf finds the directories in which a change can concern the pairs of
// dir: it, the directories and files in it, and where their links lead. All
// paths are without links, because inotify knows a directory by one path only.
func placesOf(dir string) places {
	p := places{targets: make(map[string]bool)}
	dir = filepath.Clean(dir)
	p.addName(dir)
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return p
	}
	p.addName(real)
	p.addInside(real)
	entries, err := os.ReadDir(real)
	if err != nil {
		return p
	}
	for _, entry := range entries {
		if entry.Name()[0] == '.' {
			continue
		}
		path := p.follow(filepath.Join(real, entry.Name()), entry.Type())
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			continue
		}
		p.addInside(path)
		for _, file := range []string{"netsocket.json", "modsocket.json"} {
			inner := filepath.Join(path, file)
			if info, err := os.Lstat(inner); err == nil {
				p.follow(inner, info.Mode().Type())
			}
		}
	}
	p.addKeyFiles(configdir.KeyFiles(real))
	return p
}

// addKeyFiles notes to watch key files, the directories in which they stand, and where their links lead.
func (p *places) addKeyFiles(files []string) {
	p.keyFiles = files
	for _, file := range files {
		parent, err := filepath.EvalSymlinks(filepath.Dir(file))
		if err != nil {
			continue // the next look without an event finds it
		}
		file = filepath.Join(parent, filepath.Base(file))
		p.targets[file] = true
		p.add(&p.elsewhere, parent)
		if info, err := os.Lstat(file); err == nil {
			p.follow(file, info.Mode().Type())
		}
	}
}

// follow returns a link's target, and notes to watch where that stands.
func (p *places) follow(path string, kind fs.FileMode) string {
	if kind&fs.ModeSymlink == 0 {
		return path
	}
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return path
	}
	p.targets[target] = true
	p.add(&p.elsewhere, filepath.Dir(target))
	return target
}

func (p *places) addName(name string) {
	parent, err := filepath.EvalSymlinks(filepath.Dir(name))
	if err != nil {
		return
	}
	p.add(&p.names, filepath.Join(parent, filepath.Base(name)))
	p.add(&p.parents, parent)
}

func (p *places) addInside(path string) { p.add(&p.inside, path) }

func (p *places) add(to *[]string, path string) {
	if len(*to) < maxWatches && !slices.Contains(*to, path) {
		*to = append(*to, path)
	}
}

// all are the directories to watch.
func (p places) all() []string {
	return slices.Concat(p.inside, p.parents, p.elsewhere)
}

// judge tells whether an event concerns the pairs, and whether names have
// moved, so that watches may stand in the wrong places.
func (p places) judge(event fsnotify.Event) (relevant, moves bool) {
	moves = event.Has(fsnotify.Create) || event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)
	place := filepath.Dir(event.Name)
	base := filepath.Base(event.Name)
	isNetsocket := strings.HasSuffix(base, "netsocket.json")
	isPairs := isNetsocket || strings.HasSuffix(base, "modsocket.json")
	moves = moves || isNetsocket || p.targets[event.Name] // it may name another key file
	switch {
	case slices.Contains(p.names, event.Name):
		return true, true
	case slices.Contains(p.inside, place):
		return isPairs || moves || p.targets[event.Name], moves
	case p.targets[event.Name], slices.Contains(p.elsewhere, place) && moves:
		return true, moves
	case slices.Contains(p.inside, event.Name):
		return true, moves
	}
	return false, false
}
