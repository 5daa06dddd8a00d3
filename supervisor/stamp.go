package supervisor

import (
	"hash/maphash"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// settledAfter is how long ago the last change must have been for a stamp to be
// trusted: within a tick of the file system's clock a second one doesn't show.
const settledAfter = 2 * time.Second

var stampSeed = maphash.MakeSeed()

// stamp is what a directory of pairs looks like from outside, links followed. A
// change of anything that configdir.Read reads changes it. It costs a small part
// of reading.
type stamp struct {
	sum uint64
	// newest is when anything has last changed, in nanoseconds since 1970.
	newest int64
}

// fileStamp is one file's part of it; what can't be looked at has but an error.
type fileStamp struct {
	path            string
	device, inode   uint64
	mode            uint32
	size            int64
	written, change int64
	err             unix.Errno
}

// stampOf looks at a directory and at files elsewhere; ok is false if it can't look at the directory.
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

// add looks at one file, and returns its type.
func (s *stamp) add(dir int, path string) (kind uint32) {
	var st unix.Stat_t
	f := fileStamp{path: path}
	if err := unix.Fstatat(dir, path, &st, 0); err != nil {
		f.err, _ = err.(unix.Errno)
	} else {
		f.device, f.inode, f.mode, f.size = st.Dev, st.Ino, st.Mode, st.Size
		f.written, f.change = st.Mtim.Nano(), st.Ctim.Nano()
	}
	s.sum += maphash.Comparable(stampSeed, f) // in whatever order the directory has them
	s.newest = max(s.newest, f.written, f.change)
	return f.mode & unix.S_IFMT
}

// settled reports whether a stamp of that moment can be trusted.
func (s stamp) settled(at time.Time) bool { return s.newest < at.Add(-settledAfter).UnixNano() }
