package lab

import (
	"bufio"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// cpioWriter writes a "newc" cpio archive, the format that the kernel unpacks as its initramfs
// (Documentation/driver-api/early-userspace/buffer-format.rst). Every entry belongs to root and has the time 0, so that the
// same input gives the same bytes. Archives may be concatenated: the kernel unpacks one after the other, and the
// later entry of a name wins.
//
// Names are absolute guest paths; parent directories are added when they are first needed. The first error
// sticks and is returned by Close.
type cpioWriter struct {
	w     *bufio.Writer
	ino   uint32
	off   int64
	known map[string]bool // directories that the archive has
	err   error
}

const (
	cpioTrailer = "TRAILER!!!"
	modeDir     = 0o040000
	modeRegular = 0o100000
	modeSymlink = 0o120000
)

func newCPIOWriter(w io.Writer) *cpioWriter {
	return &cpioWriter{w: bufio.NewWriterSize(w, 1<<16), known: map[string]bool{"/": true}}
}

// Dir adds a directory and its parents, unless the archive has them.
func (c *cpioWriter) Dir(name string) {
	name = path.Clean("/" + name)
	if c.known[name] {
		return
	}
	c.Dir(path.Dir(name))
	c.known[name] = true
	c.header(name, modeDir|0o755, 2, 0)
}

// Symlink adds a symbolic link at name that points to target.
func (c *cpioWriter) Symlink(target, name string) {
	name = c.parents(name)
	c.header(name, modeSymlink|0o777, 1, int64(len(target)))
	c.body(strings.NewReader(target), int64(len(target)), name)
}

// Bytes adds a regular file of these contents.
func (c *cpioWriter) Bytes(name string, perm fs.FileMode, data string) {
	name = c.parents(name)
	c.header(name, modeRegular|uint32(perm.Perm()), 1, int64(len(data)))
	c.body(strings.NewReader(data), int64(len(data)), name)
}

// Host adds the host's file, or the tree below the host's directory, as name. A symbolic link that is named
// directly is followed; those inside a tree stay links.
func (c *cpioWriter) Host(name, host string) {
	if c.err != nil {
		return
	}
	info, err := os.Stat(host)
	if err != nil {
		c.fail(fmt.Errorf("guest file %s: %w", name, err))
		return
	}
	if !info.IsDir() {
		c.hostFile(name, host, info)
		return
	}
	root, err := filepath.EvalSymlinks(host)
	if err != nil {
		c.fail(fmt.Errorf("guest directory %s: %w", name, err))
		return
	}
	c.fail(filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		return c.hostEntry(path.Join(name, filepath.ToSlash(rel)), p, d)
	}))
}

func (c *cpioWriter) hostEntry(name, host string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	switch d.Type() {
	case fs.ModeDir:
		c.Dir(name)
	case fs.ModeSymlink:
		target, err := os.Readlink(host)
		if err != nil {
			return err
		}
		c.Symlink(target, name)
	default:
		c.hostFile(name, host, info)
	}
	return c.err
}

func (c *cpioWriter) hostFile(name, host string, info fs.FileInfo) {
	if !info.Mode().IsRegular() {
		c.fail(fmt.Errorf("guest file %s: %s is neither a file, a directory nor a link", name, host))
		return
	}
	f, err := os.Open(host)
	if err != nil {
		c.fail(fmt.Errorf("guest file %s: %w", name, err))
		return
	}
	defer f.Close()
	name = c.parents(name)
	c.header(name, modeRegular|uint32(info.Mode().Perm()), 1, info.Size())
	c.body(f, info.Size(), name)
}

// Close writes the trailer and flushes. It doesn't close the underlying writer.
func (c *cpioWriter) Close() error {
	c.ino = math.MaxUint32 // the trailer's inode becomes 0
	c.entry(cpioTrailer, 0, 1, 0)
	if c.err == nil {
		c.fail(c.w.Flush())
	}
	return c.err
}

func (c *cpioWriter) parents(name string) string {
	name = path.Clean("/" + name)
	c.Dir(path.Dir(name))
	return name
}

func (c *cpioWriter) header(name string, mode, links uint32, size int64) {
	c.entry(strings.TrimPrefix(name, "/"), mode, links, size)
}

// entry writes "070701" and 13 fields of 8 hexadecimal digits: inode, mode, uid, gid, links, mtime, size, device
// (major, minor), the device that a node stands for (major, minor), the name's size with its NUL, checksum.
func (c *cpioWriter) entry(name string, mode, links uint32, size int64) {
	if size > math.MaxUint32 {
		c.fail(fmt.Errorf("guest file /%s: %d bytes, more than a cpio archive can hold (4 GiB)", name, size))
	}
	if c.err != nil {
		return
	}
	c.ino++
	fields := [13]uint32{c.ino, mode, 0, 0, links, 0, uint32(size), 0, 0, 0, 0, uint32(len(name) + 1), 0}
	var h strings.Builder
	h.WriteString("070701")
	for _, f := range fields {
		fmt.Fprintf(&h, "%08X", f)
	}
	h.WriteString(name + "\x00")
	c.write(h.String())
	c.pad()
}

func (c *cpioWriter) body(r io.Reader, size int64, name string) {
	if c.err != nil {
		return
	}
	n, err := io.Copy(c.w, io.LimitReader(r, size))
	c.off += n
	if err == nil && n != size {
		err = fmt.Errorf("it shrank from %d to %d bytes while being read", size, n)
	}
	if err != nil {
		c.fail(fmt.Errorf("guest file %s: %w", name, err))
		return
	}
	c.pad()
}

// pad fills up to a multiple of 4 bytes, counted from the archive's start.
func (c *cpioWriter) pad() { c.write("\x00\x00\x00"[:(4-c.off%4)%4]) }

func (c *cpioWriter) write(s string) {
	if c.err != nil {
		return
	}
	n, err := c.w.WriteString(s)
	c.off += int64(n)
	c.fail(err)
}

func (c *cpioWriter) fail(err error) {
	if c.err == nil {
		c.err = err
	}
}
