package guest

import (
	"os"
	"path/filepath"
	"testing"
)

// keyFile is the name of the key file beside the pair's files.
const keyFile = "nat.key"

// secured is the pair with the key "security", and with a key file unless that is empty.
func (p pair) secured(security string) pair {
	p.keyFile, p.security = "", security
	if security != "" {
		p.keyFile = keyFile
	}
	return p
}

// withKey is a pair that requires sealed datagrams, with a key file of its own.
func (p pair) withKey(t testing.TB, dir string) pair {
	t.Helper()
	p = p.secured("require")
	p.keyFile = filepath.Join(dir, keyFile)
	return p
}

// keyDirectory is a directory with a key file.
func keyDirectory(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, keyFile), []byte(run(t, joolctl, "genkey", "1")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
