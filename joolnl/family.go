package joolnl

import (
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/genetlink"
	"golang.org/x/sys/unix"
)

// ModuleVersion reads the version of the loaded module from /sys/module/jool/version, or returns ErrNoModule or
// ErrNoVersion.
func ModuleVersion() (Version, error) {
	b, err := os.ReadFile("/sys/module/jool/version")
	if err == nil {
		return ParseVersion(string(b))
	}
	if errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) {
		return 0, err
	}
	if _, err := os.Stat("/sys/module/jool"); err != nil {
		return 0, ErrNoModule
	}
	return 0, ErrNoVersion
}

// resolve asks the generic netlink controller for the numbers of Jool's family and group.
func resolve() (family uint16, group uint32, err error) {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return 0, 0, fmt.Errorf("opening a netlink socket: %w", err)
	}
	defer c.Close()
	f, err := c.GetFamily(FamilyName)
	if errors.Is(err, os.ErrNotExist) {
		return 0, 0, ErrNoModule
	}
	if err != nil {
		return 0, 0, fmt.Errorf("asking for the netlink family %q: %w", FamilyName, err)
	}
	for _, g := range f.Groups {
		if g.Name == GroupName {
			return f.ID, g.ID, nil
		}
	}
	return 0, 0, fmt.Errorf("the netlink family %q has no group %q", FamilyName, GroupName)
}
