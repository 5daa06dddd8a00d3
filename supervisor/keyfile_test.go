package supervisor

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"joolctl/seal"
)

// TestSharedKeyFile changes the key file of two pairs: both workers must use the new keys. While users other than its
// owner have access to the file, both must keep running with the old keys.
func TestSharedKeyFile(t *testing.T) {
	keys := filepath.Join(t.TempDir(), "keys")
	put := func(mode os.FileMode, list ...seal.Key) {
		var text string
		for _, key := range list {
			text += key.Line() + "\n"
		}
		must(t, os.WriteFile(keys, []byte(text), 0o600))
		must(t, os.Chmod(keys, mode))
	}
	one, two := seal.NewKey(1), seal.NewKey(2)
	inBubble(t, func(dir string, f *fleet) {
		put(0o600, one)
		fillTwo(dir, f)(t)
		for i, name := range []string{"a", "b"} {
			text := fmt.Sprintf(`{"multicast address": "233.252.0.%d", "multicast port": "6464", "key file": %q, "security": "send"}`, i+1, keys)
			must(t, os.WriteFile(filepath.Join(dir, name+".netsocket.json"), []byte(text), 0o644))
		}
	}, func(r *rig) {
		r.wantStates("a:running b:running")
		put(0o644, two)
		if reload := r.reload(); len(reload.Refused) != 2 || !strings.Contains(reload.Refused[0].Reasons[0].Text, "chmod 600 "+keys) {
			t.Errorf("refused %+v", reload.Refused)
		}
		r.wantStates("a:running b:running")
		put(0o600, two, one)
		if reload := r.reload(); len(reload.Changes) != 2 || len(reload.Refused) != 0 {
			t.Errorf("%+v", reload)
		}
		for _, name := range []string{"a", "b"} {
			if got := r.pairs[name].spec.Keys; got != seal.NewKeys(two, one) {
				t.Errorf("pair %s has %v", name, got)
			}
		}
	})
}
