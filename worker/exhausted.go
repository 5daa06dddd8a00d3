package worker

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// exhausted tells whether an error says that no more descriptors can be had: by
// this process, or on this host.
func exhausted(err error) bool { return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) }

// explained is an error in the operator's words where descriptors are short: what
// was being opened, or was taken for missing, does not matter then.
func explained(err error) error {
	switch {
	case errors.Is(err, unix.EMFILE):
		var limit unix.Rlimit
		_ = unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) // 0 tells nothing, that is all
		return fmt.Errorf("the process has as many open files as it may have, %d; raise LimitNOFILE= in its unit, or `ulimit -n` (%v)", limit.Cur, err)
	case errors.Is(err, unix.ENFILE):
		return fmt.Errorf("this host has as many open files as it may have; type: sysctl -w fs.file-max=… (%v)", err)
	}
	return err
}
