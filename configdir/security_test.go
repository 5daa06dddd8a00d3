package configdir

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/nsthread/nstest"
	"joolctl/seal"
)

// keyed returns a netsocket file with additional keys.
func keyed(more string) string { return strings.Replace(goodNet, "{", "{"+more+", ", 1) }

// writeKeys creates key files.
func writeKeys(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestKeyFile(t *testing.T) {
	one, two := seal.NewKey(1), seal.NewKey(2)
	dir := write(t, map[string]string{
		"a/netsocket.json": keyed(`"key file": "../both", "security": "send"`), "a/modsocket.json": `{"instance": "a"}`,
		"b.netsocket.json": keyed(`"key file": "one", "security": "off"`), "b.modsocket.json": `{"instance": "b"}`,
		"c.netsocket.json": keyed(`"security": "require", "key file": "link"`), "c.modsocket.json": `{"instance": "c"}`,
		"d.netsocket.json": goodNet, "d.modsocket.json": `{"instance": "d"}`,
	})
	writeKeys(t, dir, map[string]string{"one": one.Line() + "\n", "both": "# the new one first\n" + two.Line() + "\n" + one.Line()})
	if err := os.Symlink("both", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	type secured struct {
		Name, File string
		Keys       seal.Keys
		Security   Security
	}
	want := []secured{
		{"a", filepath.Join(dir, "both"), seal.NewKeys(two, one), SecuritySend},
		{"b", filepath.Join(dir, "one"), seal.NewKeys(one), SecurityOff},
		{"c", filepath.Join(dir, "link"), seal.NewKeys(two, one), SecurityRequire},
		{"d", "", seal.Keys{}, SecurityOff},
	}
	var got []secured
	result, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range result.Pairs {
		if len(p.Problems) > 0 {
			t.Errorf("%s: %v", p.Name, p.Problems)
		}
		got = append(got, secured{p.Name, p.Spec.KeyFile, p.Spec.Keys, p.Spec.Security})
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	files := []string{filepath.Join(dir, "both"), filepath.Join(dir, "one"), filepath.Join(dir, "link")}
	if d := cmp.Diff(files, KeyFiles(dir)); d != "" {
		t.Error(d)
	}
	before := result.Pairs[0].Spec
	if again, _ := Read(dir); again.Pairs[0].Spec != before {
		t.Error("the same files make another spec")
	}
	writeKeys(t, dir, map[string]string{"both": one.Line() + "\n" + two.Line()})
	if again, _ := Read(dir); again.Pairs[0].Spec == before {
		t.Error("another order of the keys makes the same spec")
	}
}

func TestKeyFileProblems(t *testing.T) {
	line := seal.NewKey(1).Line()
	const send = `"key file": "keys", "security": "send"`
	for _, c := range []struct {
		name, netsocket string
		keys            string
		mode            os.FileMode
		want            []string
	}{
		{"good", keyed(send), line, 0o600, nil},
		{"read-only", keyed(send), line, 0o400, nil},
		{"group may read", keyed(send), line, 0o640,
			[]string{"keys:1:1: other users than its owner have access to this file (mode 0640); type: chmod 600 DIR/keys"}},
		{"others may execute", keyed(send), line, 0o601,
			[]string{"keys:1:1: other users than its owner have access to this file (mode 0601); type: chmod 600 DIR/keys"}},
		{"missing", keyed(`"key file": "gone", "security": "send"`), line, 0o600,
			[]string{"gone:1:1: file does not exist; create it, as in: (umask 077; joolctl genkey > /etc/joold.d/blue.key)"}},
		{"a directory", keyed(`"key file": ".", "security": "send"`), line, 0o600,
			[]string{"DIR:1:1: this is a directory, not a file; put a regular file or a link to one in its place"}},
		{"a FIFO", keyed(`"key file": "fifo", "security": "send"`), line, 0o600,
			[]string{"fifo:1:1: this is a FIFO, not a file; put a regular file or a link to one in its place"}},
		{"a bad line", keyed(send), "# x\n " + line + "!", 0o600, []string{"keys:2:4: the key is not Base64; write ID:BASE64, as joolctl genkey prints it"}},
		{"too large", keyed(send), strings.Repeat("#\n", maxSize), 0o600, []string{"keys:1:1: " + tooLarge}},
		{"no security", keyed(`"key file": "keys"`), line, 0o600,
			[]string{`p.netsocket.json:1:14: key file: "security" is missing, which says what to do with clear datagrams; write "security": "accept" on all hosts, then "send" on all, then "require"`}},
		{"security without a key", keyed(`"security": "off"`), line, 0o600,
			[]string{`p.netsocket.json:1:14: security: has no meaning without a key; write "key file": "NAME.key" as well, or leave this out`}},
		{"no sequence", keyed(send + `, "sequence": false`), line, 0o600,
			[]string{`p.netsocket.json:1:54: sequence: false leaves only upstream's bytes, but hosts with a key need messages of their own to find each other; write true, or leave out "key file"`}},
		{"several", keyed(`"ttl": 256, "key file": "keys"`), "x", 0o600, []string{
			"p.netsocket.json:1:9: ttl: 256 is out of range; write a number from 0 to 255, as in 3",
			`p.netsocket.json:1:26: key file: "security" is missing, which says what to do with clear datagrams; write "security": "accept" on all hosts, then "send" on all, then "require"`,
			"keys:1:1: there is no colon behind the key's ID; write ID:BASE64, as joolctl genkey prints it",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := write(t, map[string]string{"p.netsocket.json": c.netsocket, "p.modsocket.json": goodMod})
			writeKeys(t, dir, map[string]string{"keys": c.keys})
			if err := os.Chmod(filepath.Join(dir, "keys"), c.mode); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Mkfifo(filepath.Join(dir, "fifo"), 0o600); err != nil {
				t.Fatal(err)
			}
			result, err := Read(dir)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range result.Pairs[0].Problems {
				got = append(got, strings.ReplaceAll(strings.TrimPrefix(p.Error(), dir+"/"), dir, "DIR"))
				if strings.Contains(p.Error(), line[4:20]) {
					t.Errorf("the key is in the problem: %s", p)
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestKeyFileOwner checks the owner of a key file behind a link, which lies in another user's directory.
func TestKeyFileOwner(t *testing.T) {
	nstest.NeedRoot(t, "to give files away")
	const other = 1000
	dir := write(t, map[string]string{"p.netsocket.json": keyed(`"key file": "theirs/link", "security": "send"`), "p.modsocket.json": goodMod})
	theirs := filepath.Join(dir, "theirs")
	if err := os.Mkdir(theirs, 0o777); err != nil {
		t.Fatal(err)
	}
	writeKeys(t, dir, map[string]string{"keys": seal.NewKey(1).Line()})
	if err := os.Symlink("../keys", filepath.Join(theirs, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(theirs, other, other); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		owner int
		want  string
	}{{0, ""}, {other, "theirs/link:1:1: user 1000 owns this file, and can read and change the keys; type: chown root DIR/theirs/link"}} {
		if err := os.Chown(filepath.Join(dir, "keys"), c.owner, 0); err != nil {
			t.Fatal(err)
		}
		result, err := Check(dir)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, p := range result.Pairs[0].Problems {
			got += strings.ReplaceAll(strings.TrimPrefix(p.Error(), dir+"/"), dir, "DIR")
		}
		if got != c.want {
			t.Errorf("owner %d: %q, want %q", c.owner, got, c.want)
		}
	}
	info, err := os.Stat(filepath.Join(dir, "keys"))
	if err != nil {
		t.Fatal(err)
	}
	if notOurs(info, other) || !notOurs(info, other+1) {
		t.Error("the user that runs the program may own the file, and no other user")
	}
}
