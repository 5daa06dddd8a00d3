package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"joolctl/internal/docstest"
)

// PageCables is the number of cables between the hosts of docs/five-minutes.md: eth0 and eth1.
const PageCables = 2

// typeBlock runs a block of the documentation in a shell, which ends at the first command that fails.
func typeBlock(t testing.TB, dir string, b docstest.Block) {
	t.Helper()
	typeWith(t, dir, b)
}

// typeBlock runs a block in the namespace.
func (n *namespace) typeBlock(t testing.TB, dir string, b docstest.Block) {
	t.Helper()
	typeWith(t, dir, b, "ip", "netns", "exec", n.name)
}

// typeWith runs a block by a command. The shell's standard input answers apt-get, which asks whether to continue.
func typeWith(t testing.TB, dir string, b docstest.Block, by ...string) {
	t.Helper()
	text := strings.Join(b.Lines, "\n")
	words := append(by, "bash", "-e", "-c", text)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive") // there is no terminal
	cmd.Stdin = strings.NewReader("y\n")
	out, err := cmd.CombinedOutput()
	t.Logf("%s:%d: %s\n%s", filepath.Base(b.File), b.Line, text, out)
	if err != nil {
		t.Fatalf("%s:%d: %v", filepath.Base(b.File), b.Line, err)
	}
}

// download replaces the files of a directory by a version of the package and its checksums.
func download(t testing.TB, version, dir string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range left {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(Packages, version))); err != nil {
		t.Fatal(err)
	}
}
