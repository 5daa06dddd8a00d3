package main

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
)

// vrrpDir contains a file for each VRRP instance, with its last state. It is not the service's runtime directory, which
// is removed with the service: an active host must not lose its priority while joolctl restarts.
const vrrpDir = "/run/joolctl-vrrp"

// vrrpMaster is keepalived's name for the state of the active host.
const vrrpMaster = "MASTER"

// vrrpStates are the states of this host's VRRP instances.
type vrrpStates struct{ dir string }

// record stores the state of a VRRP instance.
func (v vrrpStates) record(name, state string) error {
	if err := os.MkdirAll(v.dir, 0o755); err != nil {
		return err
	}
	path := v.path(name)
	if err := os.WriteFile(path+".new", []byte(state+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// serves reports whether this host is the master of a VRRP instance, by the last state that was recorded.
func (v vrrpStates) serves(name string) (bool, error) {
	state, err := os.ReadFile(v.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return string(state) == vrrpMaster+"\n", err
}

// path returns the path of the file of a VRRP instance, whose name may have any characters.
func (v vrrpStates) path(name string) string {
	return filepath.Join(v.dir, url.PathEscape(name)+".state")
}
