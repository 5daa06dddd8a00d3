package newpair

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"joolctl/configdir"
)

func hostWith(instances []Instance, interfaces ...string) Host {
	return Host{
		Instances:  func() ([]Instance, error) { return instances, nil },
		Interfaces: func(string) ([]string, error) { return interfaces, nil },
	}
}

// directory returns a directory with a pair that uses the default group and port.
func directory(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	w := Wish{Dir: dir, Name: "first", Instance: "one", Interface: "eth0", Group: DefaultGroup, Port: "6464"}
	if _, err := w.Write(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestComplete completes wishes without a terminal. A value with several possible choices is an error that names the flag.
func TestComplete(t *testing.T) {
	one, two := Instance{"", "nat"}, Instance{"blue", "nat"}
	failing := Host{
		Instances:  func() ([]Instance, error) { return nil, errors.New("no module") },
		Interfaces: func(string) ([]string, error) { return nil, errors.New("no namespace") },
	}
	for _, c := range []struct {
		name string
		wish Wish
		host Host
		want Wish
		err  string
	}{
		{"all is clear", Wish{}, hostWith([]Instance{two}, "eth1"),
			Wish{Instance: "nat", Namespace: "blue", Interface: "eth1", Group: DefaultGroup, Port: "6465"}, ""},
		{"another group", Wish{Group: "ff08::1"}, hostWith([]Instance{one}, "eth1"),
			Wish{Instance: "nat", Interface: "eth1", Group: "ff08::1", Port: "6464"}, ""},
		{"the namespace decides", Wish{Namespace: "blue"}, hostWith([]Instance{one, two}, "eth1"),
			Wish{Instance: "nat", Namespace: "blue", Interface: "eth1", Group: DefaultGroup, Port: "6465"}, ""},
		{"all is said", Wish{Instance: "x", Interface: "y", Group: "ff08::2", Port: "1"}, failing,
			Wish{Instance: "x", Interface: "y", Group: "ff08::2", Port: "1"}, ""},
		{"no instance", Wish{}, hostWith(nil, "eth1"), Wish{}, "name one with --instance"},
		{"peers", Wish{Peers: []string{"192.0.2.2"}}, hostWith([]Instance{one}, "eth0", "eth1"),
			Wish{Instance: "nat", Peers: []string{"192.0.2.2"}, Port: "6464"}, ""},
		{"two instances", Wish{}, hostWith([]Instance{one, two}, "eth1"), Wish{}, "nat, nat in blue"},
		{"two interfaces", Wish{}, hostWith([]Instance{one}, "eth0", "eth1"), Wish{}, "(eth0, eth1); name one with --interface"},
		{"no interface", Wish{}, hostWith([]Instance{one}), Wish{}, "--interface"},
		{"no module", Wish{}, failing, Wish{}, "no module"},
		{"no namespace", Wish{Instance: "nat"}, failing, Wish{}, "no namespace"},
		{"no group", Wish{Instance: "nat", Interface: "eth1", Group: "x"}, failing, Wish{}, `"x" is not an address`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := c.wish
			w.Dir, w.Name = directory(t), "second"
			err := w.Complete(c.host, nil)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			c.want.Dir, c.want.Name = w.Dir, w.Name
			if d := cmp.Diff(c.want, w); d != "" {
				t.Error(d)
			}
		})
	}
}

// TestAsk answers the questions of a terminal: an empty line takes the proposal.
func TestAsk(t *testing.T) {
	host := hostWith([]Instance{{"", "nat"}, {"blue", "nat"}}, "eth0", "eth1")
	for _, c := range []struct {
		answers string
		want    Wish
		err     string
	}{
		{"\n\n\n\n\n", Wish{Instance: "nat", Interface: "eth0", Group: DefaultGroup, Port: "6465"}, ""},
		{"nat in blue\n eth1 \nff08::7\n7\n/k\n", Wish{Instance: "nat", Namespace: "blue", Interface: "eth1", Group: "ff08::7", Port: "7", KeyFile: "/k"}, ""},
		{"red\n", Wish{}, `"red" is none of nat, nat in blue`},
		{"", Wish{}, "EOF"},
	} {
		var out bytes.Buffer
		w := Wish{Dir: directory(t), Name: "second"}
		err := w.Complete(host, Terminal(strings.NewReader(c.answers), &out))
		if c.err != "" {
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%q: error %v, want %q", c.answers, err, c.err)
			}
			continue
		}
		c.want.Dir, c.want.Name = w.Dir, w.Name
		if d := cmp.Diff(c.want, w); d != "" || err != nil {
			t.Errorf("%q: %v %s", c.answers, err, d)
		}
		if !strings.Contains(out.String(), "of nat, nat in blue [nat]: ") {
			t.Errorf("the questions are %q", out.String())
		}
	}
}

// TestWrite writes pairs that are fit to run, and nothing at all if the pair would be refused.
func TestWrite(t *testing.T) {
	good := Wish{Name: "second", Instance: "two", Interface: "eth1", Group: DefaultGroup, Port: "6465"}
	for _, c := range []struct {
		name string
		edit func(*Wish)
		err  string
	}{
		{"good", func(*Wish) {}, ""},
		{"a namespace", func(w *Wish) { w.Namespace = "blue" }, ""},
		{"peers", func(w *Wish) {
			w.Group, w.Interface, w.Peers = "", "", []string{"192.0.2.2", "192.0.2.3"}
		}, ""},
		{"peers that are no addresses", func(w *Wish) { w.Group, w.Peers = "", []string{"x"} }, "peers: "},
		{"a new key", func(w *Wish) { w.KeyFile = filepath.Join(w.Dir, "second.key") }, ""},
		{"the name exists", func(w *Wish) { w.Name = "first" }, `the pair "first" exists`},
		{"no name", func(w *Wish) { w.Name = "" }, "is not a name"},
		{"a path for a name", func(w *Wish) { w.Name = "../x" }, "is not a name"},
		{"the same instance", func(w *Wish) { w.Instance = "one" }, "instance: "},
		{"the same group and port", func(w *Wish) { w.Port, w.Interface = "6464", "eth0" }, "multicast "},
		{"no group", func(w *Wish) { w.Group = "192.0.2.1" }, "multicast address: "},
		{"a bad port and a new key", func(w *Wish) { w.Port, w.KeyFile = "0", filepath.Join(w.Dir, "k") }, "multicast port: "},
		{"no directory", func(w *Wish) { w.Dir += "/none" }, "mkdir"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := good
			w.Dir = directory(t)
			before := files(t, w.Dir)
			c.edit(&w)
			written, err := w.Write()
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				if d := cmp.Diff(before, files(t, strings.TrimSuffix(w.Dir, "/none"))); d != "" {
					t.Errorf("files: %s", d)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			result, err := configdir.Check(w.Dir)
			if err != nil || len(result.Pairs) != 2 || !result.Pairs[1].OK() {
				t.Fatalf("%v %+v", err, result)
			}
			s := result.Pairs[1].Spec
			if s.Instance != w.Instance || s.Namespace != w.Namespace || s.InInterface != w.Interface || s.OutInterface != w.Interface || !s.TuneSS {
				t.Errorf("%+v", s)
			}
			if want := len(before) + len(written.Paths); len(files(t, w.Dir)) != want {
				t.Errorf("files %v, want %d", files(t, w.Dir), want)
			}
			if w.KeyFile != "" && (s.Security != configdir.SecurityRequire || len(written.Paths) != 3) {
				t.Errorf("security %v, paths %v", s.Security, written.Paths)
			}
		})
	}
}

// TestOldKey uses a key file that exists as it is.
func TestOldKey(t *testing.T) {
	dir := directory(t)
	w := Wish{Dir: dir, Name: "second", Instance: "two", Interface: "eth1", Group: DefaultGroup, Port: "6465", KeyFile: filepath.Join(dir, "k")}
	if _, err := w.Write(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(w.KeyFile)
	if err != nil {
		t.Fatal(err)
	}
	w.Name, w.Instance, w.Port = "third", "three", "6466"
	written, err := w.Write()
	if err != nil || len(written.Paths) != 2 {
		t.Fatalf("%v %v", written.Paths, err)
	}
	if after, err := os.ReadFile(w.KeyFile); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key changed: %v", err)
	}
}

// files returns the paths of all files below a directory.
func files(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
