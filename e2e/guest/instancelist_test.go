package guest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// testInstances has `joolctl instances` list the instances of all namespaces, one of which has more than fit a message of the module.
func testInstances(t *testing.T, top *topology, s supervisor, pair string) {
	const crowd = 120
	crowded := newNamespaces(t, "crowded")[0]
	script := filepath.Join(t.TempDir(), "add")
	var b strings.Builder
	for i := range crowd {
		fmt.Fprintf(&b, "jool instance add i%d --iptables --pool6 %s\n", i, pool6)
	}
	if err := os.WriteFile(script, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	crowded.exec(t, "sh", "-e", script)
	out, err := exec.Command(joolctl, "instances", "-o", "json", "--socket", s.socket).Output()
	var found struct {
		Instances []struct{ Namespace, Instance, Pair, State string }
	}
	if err := errors.Join(err, json.Unmarshal(out, &found)); err != nil {
		t.Fatalf("%v:\n%s", err, out)
	}
	n := 0
	pairs := make(map[string]string)
	for _, in := range found.Instances {
		if in.Namespace == crowded.name {
			n++
		} else {
			pairs[in.Namespace+" "+in.Instance] += in.Pair + " " + in.State + "\n"
		}
	}
	if n != crowd {
		t.Errorf("%d instances in the crowded namespace, want %d", n, crowd)
	}
	for _, want := range []struct{ instance, pair string }{{top.j.name + " nat", pair + " running\n"}, {top.k.name + " nat", " \n"}} {
		if got := pairs[want.instance]; got != want.pair {
			t.Errorf("%s has the pair %q, want %q", want.instance, got, want.pair)
		}
	}
}
