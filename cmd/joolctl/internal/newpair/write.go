package newpair

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/seal"
)

// Written is the result of Write.
type Written struct {
	// Paths are the new files.
	Paths []string
	// Pair is the new pair. It may have warnings.
	Pair configdir.Pair
}

// Write writes the pair into a folder of its own, all files at once. It changes nothing if the pair would be refused.
func (w *Wish) Write() (Written, error) {
	before, err := configdir.Read(w.Dir)
	if err != nil {
		return Written{}, fmt.Errorf("%w; type: mkdir %s", err, w.Dir)
	}
	for _, pair := range before.Pairs {
		if pair.Name == w.Name {
			return Written{}, fmt.Errorf("the pair %q exists: %s; remove it, or choose another name", w.Name, pair.Netsocket)
		}
	}
	key, err := w.makeKey()
	if err != nil {
		return Written{}, err
	}
	pair, err := w.writeFolder(before)
	if err != nil {
		if key != "" {
			_ = os.Remove(key)
		}
		return Written{}, err
	}
	written := Written{Paths: []string{pair.Netsocket, pair.Modsocket}, Pair: pair}
	if key != "" {
		written.Paths = append(written.Paths, key)
	}
	return written, nil
}

// makeKey makes the key file if it does not exist, and returns its path if it has made it.
func (w *Wish) makeKey() (made string, err error) {
	if w.KeyFile == "" {
		return "", nil
	}
	if w.KeyFile, err = filepath.Abs(w.KeyFile); err != nil {
		return "", err
	}
	f, err := os.OpenFile(w.KeyFile, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintln(f, seal.NewKey(1).Line())
	if err := errors.Join(err, f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(w.KeyFile))
	}
	return w.KeyFile, nil
}

// writeFolder writes the files into a hidden folder, which a supervisor ignores, checks them, and gives the folder its name.
func (w *Wish) writeFolder(before configdir.Result) (configdir.Pair, error) {
	if w.Name == "" || w.Name[0] == '.' || strings.ContainsRune(w.Name, '/') {
		return configdir.Pair{}, fmt.Errorf("%q is not a name for a pair; write letters and digits", w.Name)
	}
	folder, err := os.MkdirTemp(w.Dir, ".new-")
	if err != nil {
		return configdir.Pair{}, err
	}
	defer os.RemoveAll(folder)
	if err := os.Chmod(folder, 0o755); err != nil {
		return configdir.Pair{}, err
	}
	for name, content := range map[string]any{"netsocket.json": w.netsocket(), "modsocket.json": w.modsocket()} {
		b, err := json.MarshalIndent(content, "", "  ")
		if err != nil {
			return configdir.Pair{}, err
		}
		if err := os.WriteFile(filepath.Join(folder, name), append(b, '\n'), 0o644); err != nil {
			return configdir.Pair{}, err
		}
	}
	if err := w.check(folder, before); err != nil {
		return configdir.Pair{}, err
	}
	path := filepath.Join(w.Dir, w.Name)
	if err := unix.Renameat2(unix.AT_FDCWD, folder, unix.AT_FDCWD, path, unix.RENAME_NOREPLACE); err != nil {
		return configdir.Pair{}, &os.PathError{Op: "making", Path: path, Err: err}
	}
	return configdir.ReadPair(w.Name, filepath.Join(path, "netsocket.json"), filepath.Join(path, "modsocket.json")), nil
}

// check returns an error if the pair in a folder would be refused in the directory as it was read before.
func (w *Wish) check(folder string, before configdir.Result) error {
	pair := configdir.ReadPair(w.Name, filepath.Join(folder, "netsocket.json"), filepath.Join(folder, "modsocket.json"))
	for _, problem := range pair.Problems {
		if !problem.Warning {
			return fmt.Errorf("%s: %s", problem.Key, problem.Message)
		}
	}
	specs := []configdir.Spec{pair.Spec}
	running := make(map[string]configdir.Spec)
	for _, other := range before.Pairs {
		if other.OK() {
			specs = append(specs, other.Spec)
			running[other.Name] = other.Spec
		}
	}
	for _, conflict := range configdir.Conflicts(specs, running)[w.Name] {
		return fmt.Errorf("%s: %s", conflict.Key, conflict.Message)
	}
	return nil
}

// netsocket is the content of a netsocket file, in the order of the documentation.
type netsocket struct {
	Group     string   `json:"multicast address,omitempty"`
	GroupPort string   `json:"multicast port,omitempty"`
	Peers     []string `json:"peers,omitempty"`
	Port      string   `json:"port,omitempty"`
	In        string   `json:"in interface,omitempty"`
	Out       string   `json:"out interface,omitempty"`
	ReuseAddr int      `json:"reuseaddr"`
	KeyFile   string   `json:"key file,omitempty"`
	Security  string   `json:"security,omitempty"`
}

// modsocket is the content of a modsocket file.
type modsocket struct {
	Instance  string `json:"instance"`
	Namespace string `json:"namespace,omitempty"`
	TuneSS    bool   `json:"tune ss"`
}

func (w *Wish) netsocket() netsocket {
	n := netsocket{Group: w.Group, Peers: w.Peers, In: w.Interface, Out: w.Interface, ReuseAddr: 1, KeyFile: w.KeyFile}
	if len(w.Peers) > 0 {
		n.Port = w.Port
	} else {
		n.GroupPort = w.Port
	}
	if w.KeyFile != "" {
		n.Security = configdir.SecurityRequire.String()
	}
	return n
}

func (w *Wish) modsocket() modsocket {
	return modsocket{Instance: w.Instance, Namespace: w.Namespace, TuneSS: true}
}
