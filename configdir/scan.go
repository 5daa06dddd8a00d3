package configdir

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode"
)

// candidate is a name for which a directory has files of a pair. The fields have the files' paths, empty for a
// missing file.
type candidate struct {
	name string
	// inside are NAME/netsocket.json and NAME/modsocket.json, beside are
	// NAME.netsocket.json and NAME.modsocket.json.
	inside, beside [2]string
}

// scan returns the candidates in a directory, in natural order. It opens no file.
func scan(dir string) ([]*candidate, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, directoryError(dir, err)
	}
	found := make(map[string]*candidate)
	at := func(name string) *candidate {
		if found[name] == nil {
			found[name] = &candidate{name: name}
		}
		return found[name]
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if ignored(entry.Name()) {
			continue
		}
		if name, of, ok := flatName(entry.Name()); ok {
			if !ignored(name) {
				at(name).beside[of] = path
			}
			continue
		}
		if entry.Type()&(fs.ModeDir|fs.ModeSymlink) == 0 {
			continue
		}
		for _, of := range kinds {
			if file := filepath.Join(path, of.fileName()); mayExist(file) {
				at(entry.Name()).inside[of] = file
			}
		}
	}
	return slices.SortedFunc(maps.Values(found), func(a, b *candidate) int {
		return NaturalCompare(a.name, b.name)
	}), nil
}

// flatName parses NAME.netsocket.json and NAME.modsocket.json.
func flatName(entry string) (name string, of kind, ok bool) {
	for _, of := range kinds {
		if name, ok := strings.CutSuffix(entry, "."+of.fileName()); ok && name != "" {
			return name, of, true
		}
	}
	return "", 0, false
}

// ignored reports whether a name is that of a hidden file, or of a backup of an editor or package manager. It
// also applies to a pair's NAME, so that both spellings have the same rules.
func ignored(name string) bool {
	extension := filepath.Ext(name)
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") ||
		extension == ".swp" || extension == ".bak" ||
		strings.HasPrefix(extension, ".dpkg-") || strings.HasPrefix(extension, ".rpm")
}

// mayExist returns false only if a file certainly does not exist. If the check fails, the file counts as
// existing, because a pair that counts as deleted would lose its worker.
func mayExist(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR)
}

// badName returns what is wrong with a pair's name, or an empty string. Users type names in commands and see
// them in tables.
func badName(name string) string {
	switch {
	case len(name) > 64:
		return fmt.Sprintf("the pair's name has %d bytes; rename it to at most 64", len(name))
	case !isPlain(name) || strings.ContainsFunc(name, unicode.IsSpace):
		return "the pair's name has blanks or unprintable characters; rename it without them"
	}
	return ""
}

// directoryError returns the error for a directory that cannot be read, with the command to type next.
func directoryError(dir string, err error) error {
	next := "name a directory that can be read"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		next = "create it with: mkdir -p " + plain(dir)
	case errors.Is(err, syscall.ENOTDIR):
		next = "name the directory that holds the pairs, as in /etc/joold.d"
	case errors.Is(err, fs.ErrPermission):
		next = "run as root, or let this user read it: chmod o+rx " + plain(dir)
	}
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	// Wrapped, because callers wait for a directory that does not exist yet.
	return fmt.Errorf("cannot read directory %s: %w; %s", plain(dir), err, next)
}
