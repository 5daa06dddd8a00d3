package configdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	goodNet = `{"multicast address": "ff08::db8:64:64", "multicast port": "6464", "in interface": "eth0", "out interface": "eth0", "reuseaddr": 1}`
	goodMod = `{"instance": "nat"}`
)

// write creates a directory with these files. Their paths may contain directories.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for path, text := range files {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// told reads a directory and returns all problems by pair name, without the directory's path. The list of a pair
// without problems is empty.
func told(t *testing.T, dir string, read func(string) (Result, error)) map[string][]string {
	t.Helper()
	result, err := read(dir)
	if err != nil {
		t.Fatal(err)
	}
	lines := make(map[string][]string)
	for _, pair := range result.Pairs {
		lines[pair.Name] = []string{}
		for _, p := range pair.Problems {
			line := strings.ReplaceAll(p.String(), dir+"/", "")
			lines[pair.Name] = append(lines[pair.Name], line)
		}
	}
	return lines
}

func TestSpellingsAndOrder(t *testing.T) {
	dir := write(t, map[string]string{
		"p10/netsocket.json": goodNet, "p10/modsocket.json": goodMod,
		"p2.netsocket.json": goodNet, "p2.modsocket.json": goodMod,
		"dots.in.name.netsocket.json": goodNet, "dots.in.name.modsocket.json": goodMod,
	})
	result, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []Spec
	for _, pair := range result.Pairs {
		if len(pair.Problems) > 0 {
			t.Errorf("%s: %v", pair.Name, pair.Problems)
		}
		got = append(got, pair.Spec)
	}
	var want []Spec
	for _, name := range []string{"dots.in.name", "p2", "p10"} {
		spec, _ := read(netsocket, goodNet)
		spec.Name, spec.Instance = name, "nat"
		want = append(want, spec)
	}
	if d := cmp.Diff(want, got, address); d != "" {
		t.Error(d)
	}
	if got, want := result.Pairs[2].Modsocket, filepath.Join(dir, "p10/modsocket.json"); got != want {
		t.Errorf("modsocket of p10: %s", got)
	}
}

func TestIgnored(t *testing.T) {
	files := map[string]string{
		"a.netsocket.json": goodNet, "a.modsocket.json": goodMod,
		"netsocket.json": "x", "modsocket.json": "x", "README": "x", "notes/todo": "x", "a.json": "x", "a.netsocket.jsonx": "x",
	}
	for _, suffix := range []string{"~", ".swp", ".bak", ".dpkg-old", ".dpkg-new", ".rpmsave", ".rpmnew"} {
		files["a.netsocket.json"+suffix] = "x"
		files["b"+suffix+".netsocket.json"] = "x"
		files["b"+suffix+"/netsocket.json"] = "x"
	}
	for _, hidden := range []string{".a.netsocket.json", ".git/netsocket.json", "..data/a.netsocket.json", ".netsocket.json"} {
		files[hidden] = "x"
	}
	for i := range 1000 {
		files[fmt.Sprintf("garbage%d.txt", i)] = "x"
	}
	if d := cmp.Diff(map[string][]string{"a": {}}, told(t, write(t, files), Read)); d != "" {
		t.Error(d)
	}
}

func TestPairProblems(t *testing.T) {
	long := strings.Repeat("x", 65)
	dir := write(t, map[string]string{
		"half.netsocket.json":      `{"ttl": 300}`,
		"inner/modsocket.json":     `{"instance": ""}`,
		"twice/netsocket.json":     goodNet,
		"twice/modsocket.json":     goodMod,
		"twice.netsocket.json":     goodNet,
		"twice.modsocket.json":     goodMod,
		"split/netsocket.json":     goodNet,
		"split.modsocket.json":     goodMod,
		"a b.netsocket.json":       goodNet,
		"a b.modsocket.json":       goodMod,
		"new\nline.netsocket.json": goodNet,
		"new\nline.modsocket.json": goodMod,
		long + "/netsocket.json":   goodNet,
		long + "/modsocket.json":   goodMod,
		"addr.netsocket.json":      goodNet,
		"addr.modsocket.json":      `{"stats address": "::1"}`,
	})
	const twice = `pair "twice" is spelled both as twice/*.json and as twice.*.json; remove one spelling, or rename it`
	const split = `pair "split" is spelled both as split/*.json and as split.*.json; remove one spelling, or rename it`
	const blanks = `the pair's name has blanks or unprintable characters; rename it without them`
	want := map[string][]string{
		"half": {
			`half.netsocket.json:1:1: multicast address: missing; write "multicast address": "ff08::db8:64:64"`,
			`half.netsocket.json:1:1: multicast port: missing; write "multicast port": "6464"`,
			`half.netsocket.json:1:1: in interface: missing, so that the kernel chooses one and sessions may leak elsewhere; write the interface, as in "eth0"`,
			`half.netsocket.json:1:1: out interface: missing, so that the kernel chooses one and sessions may leak elsewhere; write the interface, as in "eth0"`,
			`half.netsocket.json:1:1: reuseaddr: missing, which means 0: a hanging process would keep its successor off the port; write 1, as C joold always does since 4.1.13`,
			`half.netsocket.json:1:9: ttl: 300 is out of range; write a number from 0 to 255, as in 3`,
			`half.modsocket.json:1:1: file does not exist; create it, as in: {"instance": "default"}`,
		},
		"inner": {
			`inner/netsocket.json:1:1: file does not exist; create it, as in: ` + netsocket.example(),
			`inner/modsocket.json:1:14: instance: empty; write the instance's name, 1 to 15 bytes, as in "nat"`,
		},
		"twice": {
			"twice/netsocket.json:1:1: " + twice, "twice.netsocket.json:1:1: " + twice,
			"twice/modsocket.json:1:1: " + twice, "twice.modsocket.json:1:1: " + twice,
		},
		"split":     {"split/netsocket.json:1:1: " + split, "split.modsocket.json:1:1: " + split},
		"a b":       {"a b.netsocket.json:1:1: " + blanks},
		"new\nline": {},
		long:        {long + "/netsocket.json:1:1: the pair's name has 65 bytes; rename it to at most 64"},
		"addr": {
			`addr.modsocket.json:1:19: stats address: has no effect without "stats port"; write "stats port": "4000" as well, or leave this out`,
		},
	}
	got := told(t, dir, Read)
	for _, line := range got["new\nline"] {
		if strings.Contains(line, "\n") || !strings.HasSuffix(line, blanks) {
			t.Errorf("not one line: %q", line)
		}
	}
	got["new\nline"] = []string{}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestCheckAddsConflicts(t *testing.T) {
	dir := write(t, map[string]string{
		"p1.netsocket.json": strings.Replace(goodNet, "{", "{\n ", 1), "p1.modsocket.json": `{"stats port": "4000"}`,
		"p2/netsocket.json": goodNet, "p2/modsocket.json": `{"instance": "nat", "stats port": 4000}`,
		"p3/netsocket.json": goodNet, "p3/modsocket.json": `{"instance": "nat", "stats port": 4000, "ttl": 1}`,
	})
	group := func(other string) string {
		return `multicast address: group ff08::db8:64:64 port 6464 on eth0 is pair "` + other + `"'s too; give one of the two another group or port`
	}
	port := func(other string) string {
		return `stats port: UDP port 4000 is pair "` + other + `"'s stats port too; give one of the two another`
	}
	broken := `p3/modsocket.json:1:41: ttl: this key belongs in the other file; move it to the pair's netsocket file`
	want := map[string][]string{
		"p1": {"p1.netsocket.json:2:23: " + group("p2"), "p1.modsocket.json:1:16: " + port("p2")},
		"p2": {"p2/netsocket.json:1:23: " + group("p1"), "p2/modsocket.json:1:35: " + port("p1")},
		"p3": {broken},
	}
	if d := cmp.Diff(want, told(t, dir, Check)); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(map[string][]string{"p1": {}, "p2": {}, "p3": {broken}}, told(t, dir, Read)); d != "" {
		t.Error(d)
	}
}

// TestPlaceOfDefault checks that a conflict about a key that the file does not have is at the top of the file.
func TestPlaceOfDefault(t *testing.T) {
	got := Pair{Name: "a", Netsocket: "n", Modsocket: "m"}.Place(Conflict{Key: "instance", Message: "x; y"}).String()
	if want := "m:1:1: instance: x; y"; got != want {
		t.Errorf("got %s", got)
	}
}

func TestNamespaceDefault(t *testing.T) {
	dir := write(t, map[string]string{
		"net": goodNet, "mod": `{"namespace": "blue"}`, "elsewhere": strings.Replace(goodNet, "{", `{"namespace": "red", `, 1),
	})
	for file, want := range map[string]string{"net": "blue", "elsewhere": "red"} {
		pair := ReadPair("x y", filepath.Join(dir, file), filepath.Join(dir, "mod"))
		if len(pair.Problems) > 0 || pair.Spec.NetNamespace != want || pair.Spec.Namespace != "blue" || pair.Spec.Name != "x y" {
			t.Errorf("%s: %+v", file, pair)
		}
	}
}

func TestLinks(t *testing.T) {
	dir := write(t, map[string]string{
		"..v1/p1.netsocket.json": goodNet, "..v1/p1.modsocket.json": goodMod,
		".pairs/p2/netsocket.json": goodNet, ".pairs/p2/modsocket.json": goodMod,
	})
	for name, target := range map[string]string{
		"..data": "..v1", "p1.netsocket.json": "..data/p1.netsocket.json", "p1.modsocket.json": "..data/p1.modsocket.json",
		"p2": ".pairs/p2", "circle": "circle", "dangling": "nowhere",
		"p3.netsocket.json": "..data/p1.netsocket.json", "p3.modsocket.json": "..data/gone",
		"p4.netsocket.json": "p4.netsocket.json", "p4.modsocket.json": "..data/p1.modsocket.json",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	const circle = ":1:1: links lead in a circle; link to a regular file"
	want := map[string][]string{
		"p1": {}, "p2": {},
		"p3":     {`p3.modsocket.json:1:1: link to "..data/gone" leads nowhere; create that file, or link to one that exists`},
		"p4":     {"p4.netsocket.json" + circle},
		"circle": {"circle/netsocket.json" + circle, "circle/modsocket.json" + circle},
	}
	if d := cmp.Diff(want, told(t, dir, Read)); d != "" {
		t.Error(d)
	}
}

// TestUnreadable checks that files of other types and large files neither block readFile nor are read
// completely. The test would hang if readFile opened one of them.
func TestUnreadable(t *testing.T) {
	dir := write(t, map[string]string{
		"large": strings.Repeat(" ", maxSize+1), "fits": goodMod + strings.Repeat(" ", maxSize-len(goodMod)), "huge": "", "folder/x": "",
	})
	path := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Truncate(path("huge"), 1<<30); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(path("fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		path("fits"):         "",
		path("large"):        tooLarge,
		path("huge"):         tooLarge,
		path("fifo"):         "this is a FIFO, not a file; put a regular file or a link to one in its place",
		path("folder"):       "this is a directory, not a file; put a regular file or a link to one in its place",
		"/dev/zero":          "this is a device, not a file; put a regular file or a link to one in its place",
		path("large") + "/x": "cannot be read (not a directory); put a readable regular file in its place",
	} {
		data, wrong := readFile(file, modsocket)
		if wrong != want || (len(data) > 0) != (want == "") {
			t.Errorf("%s: %d bytes, %q", file, len(data), wrong)
		}
	}
	// Root may read every file, so the test makes the error itself.
	got := openMessage("x", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, modsocket)
	if want := "permission denied; let this user read it (chmod, chown), or run as root"; got != want {
		t.Errorf("permission: %s", got)
	}
}

func TestDirectoryErrors(t *testing.T) {
	dir := write(t, map[string]string{"file": ""})
	if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o644); err != nil {
		t.Fatal(err)
	}
	const notDirectory = "not a directory; name the directory that holds the pairs, as in /etc/joold.d"
	for name, want := range map[string]string{
		"gone": "no such file or directory; create it with: mkdir -p " + dir + "/gone",
		"file": notDirectory, "fifo": notDirectory,
	} {
		for _, read := range []func(string) (Result, error){Read, Check} {
			_, err := read(filepath.Join(dir, name))
			if want := "cannot read directory " + filepath.Join(dir, name) + ": " + want; err == nil || err.Error() != want {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := Read(dir + "/gone"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the cause is lost: %v", err)
	}
	got := directoryError("d", &fs.PathError{Op: "open", Path: "d", Err: syscall.EACCES}).Error()
	if want := "cannot read directory d: permission denied; run as root, or let this user read it: chmod o+rx d"; got != want {
		t.Errorf("permission: %s", got)
	}
}

func TestEmptyDirectory(t *testing.T) {
	if got := told(t, t.TempDir(), Check); len(got) != 0 {
		t.Errorf("found %v", got)
	}
}
