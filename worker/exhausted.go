package worker

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// exhausted reports whether an error means that the process or the host has reached its limit of open files.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// explained replaces an error that means too many open files by one that names the limit and the remedy. The text of the
// original error would mislead the operator: it names the file or interface that happened to be opened, or calls it missing.
func explained(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		var limit unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) // if this fails, the message has 0 as the limit
		return fmt.Errorf("the process has as many open files as it may have, %d; raise LimitNOFILE= in its unit, or `ulimit -n` (%v)", limit.Cur, err)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("this host has as many open files as it may have; type: sysctl -w fs.file-max=… (%v)", err)
	}
	return err
}
