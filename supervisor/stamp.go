package supervisor

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// settledAfter is the age that the last change must have before a stamp is trusted: a second change within the same tick
// of the file system's clock is invisible.
const settledAfter = 2 * time.Second

var stampSeed = maphash.MakeSeed()

// stamp is a fingerprint of the metadata of a directory of pairs, symbolic links followed. A change of anything that
// configdir.Read reads changes the stamp. A stamp costs a small part of reading the directory.
type stamp struct {
	sum uint64
	// newest is the time of the last change, in nanoseconds since 1970.
	newest int64
}

// fileStamp is the part of a stamp for one file. If stat failed, only the error is set.
type fileStamp struct {
	path            string
	device, inode   uint64
	mode            uint32
	size            int64
	written, change int64
	err             unix.Errno
}

// stampOf makes the stamp of a directory and of files elsewhere; ok is false if the directory can't be read.
func stampOf(dir string, elsewhere ...string) (s stamp, ok bool) {
	d, err := os.Open(dir)
	if err != nil {
		return stamp{}, false
	}
	defer d.Close()
	names, err := d.Readdirnames(-1)
	if err != nil {
		return stamp{}, false
	}
	for _, path := range elsewhere {
		s.add(unix.AT_FDCWD, path)
	}
	fd := int(d.Fd())
	s.add(fd, ".")
	for _, name := range names {
		if s.add(fd, name) == unix.S_IFDIR {
			s.add(fd, filepath.Join(name, "netsocket.json"))
			s.add(fd, filepath.Join(name, "modsocket.json"))
		}
	}
	return s, true
}

// add adds one file and returns its type.
func (s *stamp) add(dir int, path string) (kind uint32) {
	var st unix.Stat_t
	f := fileStamp{path: path}
	if err := unix.Fstatat(dir, path, &st, 0); err != nil {
		f.err, _ = err.(unix.Errno)
	} else {
		f.device, f.inode, f.mode, f.size = st.Dev, st.Ino, st.Mode, st.Size
		f.written, f.change = st.Mtim.Nano(), st.Ctim.Nano()
	}
	s.sum += maphash.Comparable(stampSeed, f) // a sum does not depend on the order of the files
	s.newest = max(s.newest, f.written, f.change)
	return f.mode & unix.S_IFMT
}

// settled reports whether a stamp made at that time can be trusted.
func (s stamp) settled(at time.Time) bool { return s.newest < at.Add(-settledAfter).UnixNano() }
