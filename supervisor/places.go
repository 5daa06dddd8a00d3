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

// isLimit reports whether an error means that a limit of inotify was reached.
func isLimit(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENOMEM)
}

// places are the files and directories that are watched for changes.
type places struct {
	// names are the paths by which the directory of pairs can be reached. parents are the directories that contain these
	// paths.
	names, parents []string
	// inside are the directory of pairs and the directories of its pairs.
	inside []string
	// targets are the targets of symbolic links in these directories. elsewhere are the directories that contain the
	// targets.
	targets   map[string]bool
	elsewhere []string
	// keyFiles are the paths of the key files that the netsocket files name.
	keyFiles []string
}

// placesOf returns the places where a change can concern the pairs of dir: dir itself, the directories and files in it,
// and the targets of their symbolic links. The paths contain no symbolic links, because inotify reports each directory
// under one path only.
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

// addKeyFiles adds key files, the directories that contain them, and the targets of their symbolic links.
func (p *places) addKeyFiles(files []string) {
	p.keyFiles = files
	for _, file := range files {
		parent, err := filepath.EvalSymlinks(filepath.Dir(file))
		if err != nil {
			continue // the next check without an event finds it
		}
		file = filepath.Join(parent, filepath.Base(file))
		p.targets[file] = true
		p.add(&p.elsewhere, parent)
		if info, err := os.Lstat(file); err == nil {
			p.follow(file, info.Mode().Type())
		}
	}
}

// follow returns the target of a symbolic link, and adds the target's directory to the places.
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

// all returns the directories to watch.
func (p places) all() []string {
	return slices.Concat(p.inside, p.parents, p.elsewhere)
}

// judge reports whether an event concerns the pairs (relevant), and whether a watched path may now lead to another
// directory (moves).
func (p places) judge(event fsnotify.Event) (relevant, moves bool) {
	moves = event.Has(fsnotify.Create) || event.Has(fsnotify.Remove) || event.Has(fsnotify.Rename)
	place := filepath.Dir(event.Name)
	base := filepath.Base(event.Name)
	isNetsocket := strings.HasSuffix(base, "netsocket.json")
	isPairs := isNetsocket || strings.HasSuffix(base, "modsocket.json")
	moves = moves || isNetsocket || p.targets[event.Name] // a changed netsocket file may name another key file
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
