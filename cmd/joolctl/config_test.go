package main

import (
	"strings"
	"testing"
)

// TestConfig checks that the command shows a pair's values and their sources, and exits with 1 if the pair is not fit to
// run or does not exist.
func TestConfig(t *testing.T) {
	for _, c := range []struct {
		args, stdout, stderr string
		code                 int
	}{
		{"config red testdata/check", "netsocket  ttl ", "(warning)", 0},
		{"config blue testdata/check", "netsocket  ttl ", "ttl: 300 is out of range", 1},
		{"config half testdata/check", "modsocket  instance ", "file does not exist", 1},
		{"config nobody testdata/check", "", `there is no pair "nobody"`, 1},
		{"config blue testdata/none", "", "no such file", 1},
		{"config blue testdata/check -o xml", "", "write table or json", 2},
	} {
		code, stdout, stderr := ran(strings.Fields(c.args)...)
		if code != c.code || !strings.Contains(stdout, c.stdout) || !strings.Contains(stderr, c.stderr) {
			t.Errorf("joolctl %s: code %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
	}
}
