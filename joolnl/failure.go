package joolnl

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// IsNotLoaded reports whether an error of the module means that its NAT64 part is not loaded: "rmmod jool"
// leaves jool_common, which still replies.
func IsNotLoaded(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Text == "" && e.Code == unix.ENOENT || strings.Contains(e.Text, "modprobed")
}

// IgnoredAll reports whether an error of the module means that it ignored all sessions of a JOOLD_ADD, because the
// instance does not exist, ss-enabled is off, or the module is not loaded. Other errors concern single sessions;
// the module has stored the others.
func IgnoredAll(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Text == "" || IsNotLoaded(err) ||
		strings.Contains(e.Text, "lacks an instance") || strings.Contains(e.Text, "disabled"))
}

// NoMemory reports whether an error of the module means that it had no memory for some sessions of a JOOLD_ADD,
// so that a retry can succeed. After other errors a retry fails too. The module reports EINVAL and names the
// cause only in the text, which is empty if there was no memory for the text either.
func NoMemory(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Code == unix.ENOMEM || e.Code == unix.EINVAL && e.Text == unix.EINVAL.Error() ||
		strings.Contains(e.Text, "unknown error code -12."))
}
