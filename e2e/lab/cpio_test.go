package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// cpioEntry is a header as the format's description has it, with the fields that the writer varies.
func cpioEntry(ino int, mode string, links, size int, name string) string {
	return fmt.Sprintf("070701"+"%08X"+"0000%s"+"00000000"+"00000000"+"%08X"+"00000000"+"%08X"+
		"00000000"+"00000000"+"00000000"+"00000000"+"%08X"+"00000000"+"%s\x00", ino, mode, links, size, len(name)+1, name)
}

func TestCPIOGolden(t *testing.T) {
	trailer := cpioEntry(0, "0000", 1, 0, "TRAILER!!!") + "\x00\x00\x00"
	tests := []struct {
		name string
		add  func(*cpioWriter)
		want string
	}{
		{"empty", func(*cpioWriter) {}, trailer},
		// A header has 110 bytes: a name of 1 byte and its NUL end on a boundary, other lengths are padded.
		{"name without padding", func(c *cpioWriter) { c.Bytes("/a", 0o644, "1234") }, cpioEntry(1, "81A4", 1, 4, "a") + "1234" + trailer},
		{"name padded by 3", func(c *cpioWriter) { c.Bytes("/ab", 0o755, "1234") }, cpioEntry(1, "81ED", 1, 4, "ab") + "\x00\x00\x00" + "1234" + trailer},
		{"name padded by 1", func(c *cpioWriter) { c.Bytes("/abcd", 0o644, "") }, cpioEntry(1, "81A4", 1, 0, "abcd") + "\x00" + trailer},
		{"body padded by 3", func(c *cpioWriter) { c.Bytes("/a", 0o644, "1") }, cpioEntry(1, "81A4", 1, 1, "a") + "1\x00\x00\x00" + trailer},
		{"body padded by 1", func(c *cpioWriter) { c.Bytes("/a", 0o644, "123") }, cpioEntry(1, "81A4", 1, 3, "a") + "123\x00" + trailer},
		{"directory", func(c *cpioWriter) { c.Dir("/d"); c.Dir("/d/"); c.Dir("/") }, cpioEntry(1, "41ED", 2, 0, "d") + trailer},
		{"symlink", func(c *cpioWriter) { c.Symlink("/x/y", "/l") }, cpioEntry(1, "A1FF", 1, 4, "l") + "/x/y" + trailer},
		{"parents come first and once", func(c *cpioWriter) { c.Bytes("/d/a", 0o600, ""); c.Bytes("/d/b", 0o600, "") },
			cpioEntry(1, "41ED", 2, 0, "d") + cpioEntry(2, "8180", 1, 0, "d/a") + "\x00\x00" + cpioEntry(3, "8180", 1, 0, "d/b") + "\x00\x00" + trailer},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var b bytes.Buffer
			c := newCPIOWriter(&b)
			tt.add(c)
			if err := c.Close(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, b.String()); diff != "" {
				t.Errorf("archive (-want +got):\n%s", diff)
			}
			if b.Len()%4 != 0 {
				t.Errorf("the archive has %d bytes, no multiple of 4: another can't follow it", b.Len())
			}
		})
	}
}

// TestCPIOHost checks the archive of a host's tree with the host's own cpio.
func TestCPIOHost(t *testing.T) {
	cpio, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio to read the archive with")
	}
	from := t.TempDir()
	large := bytes.Repeat([]byte("0123456789abcde"), 400_001) // 6 MB, an odd number of bytes
	writeTree(t, from, map[string]string{"tree/a/x.txt": "x\n", "tree/empty": "", "tree/large": string(large)})
	if err := os.Symlink("a/x.txt", filepath.Join(from, "tree", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("tree", filepath.Join(from, "treelink")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(from, "tree", "empty"), 0o500); err != nil {
		t.Fatal(err)
	}

	var b bytes.Buffer
	c := newCPIOWriter(&b)
	c.Host("/deep/er/copy", filepath.Join(from, "treelink"))
	c.Bytes("/"+strings.Repeat("n", 200), 0o644, "long name")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}

	to := t.TempDir()
	cmd := exec.Command(cpio, "-idm")
	cmd.Dir, cmd.Stdin = to, bytes.NewReader(b.Bytes())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	want := []string{
		"deep drwxr-xr-x", "deep/er drwxr-xr-x", "deep/er/copy drwxr-xr-x", "deep/er/copy/a drwxr-xr-x",
		"deep/er/copy/a/x.txt -rw-r--r-- x\n", "deep/er/copy/empty -r-x------ ",
		"deep/er/copy/large -rw-r--r-- 6000015 bytes", "deep/er/copy/link -> a/x.txt",
		strings.Repeat("n", 200) + " -rw-r--r-- long name",
	}
	if diff := cmp.Diff(want, listTree(t, to)); diff != "" {
		t.Errorf("unpacked tree (-want +got):\n%s", diff)
	}
	got, err := os.ReadFile(filepath.Join(to, "deep/er/copy/large"))
	if err != nil || !bytes.Equal(got, large) {
		t.Errorf("the large file differs (%v)", err)
	}
}

func TestCPIOErrors(t *testing.T) {
	dir := t.TempDir()
	writeTree(t, dir, map[string]string{"f": "12345"})
	tests := []struct {
		name string
		add  func(*cpioWriter)
		want string
	}{
		{"no such file", func(c *cpioWriter) { c.Host("/x", filepath.Join(dir, "none")) }, "guest file /x: stat " + filepath.Join(dir, "none") + ": no such file or directory"},
		{"device", func(c *cpioWriter) { c.Host("/x", os.DevNull) }, "guest file /x: /dev/null is neither a file, a directory nor a link"},
		{"short body", func(c *cpioWriter) { c.body(strings.NewReader("123"), 5, "/x") }, "guest file /x: it shrank from 5 to 3 bytes while being read"},
		{"too large", func(c *cpioWriter) { c.entry("x", modeRegular, 1, 1<<32) }, "guest file /x: 4294967296 bytes, more than a cpio archive can hold (4 GiB)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newCPIOWriter(&bytes.Buffer{})
			tt.add(c)
			c.Bytes("/later", 0o644, "") // the first error sticks
			err := c.Close()
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

func writeTree(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, data := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// listTree describes what is below dir, a line for each.
func listTree(t *testing.T, dir string) []string {
	t.Helper()
	var list []string
	err := filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err != nil || p == dir {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		switch {
		case info.IsDir():
			list = append(list, fmt.Sprintf("%s %v", rel, info.Mode()))
		case info.Mode()&os.ModeSymlink != 0:
			target, err := os.Readlink(p)
			list = append(list, rel+" -> "+target)
			return err
		case info.Size() > 1000:
			list = append(list, fmt.Sprintf("%s %v %d bytes", rel, info.Mode(), info.Size()))
		default:
			data, err := os.ReadFile(p)
			list = append(list, fmt.Sprintf("%s %v %s", rel, info.Mode(), data))
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}
