package main

import (
	"bytes"
	"strings"
	"testing"

	"joolctl/seal"
)

func TestGenkey(t *testing.T) {
	for _, c := range []struct {
		args   []string
		id     uint8
		code   int
		stderr string
	}{
		{[]string{"genkey"}, 1, exitWell, ""},
		{[]string{"genkey", "0"}, 0, exitWell, ""},
		{[]string{"genkey", "255"}, 255, exitWell, ""},
		{[]string{"genkey", "256"}, 0, exitUsage, `"256" is not an ID; write a number from 0 to 255`},
		{[]string{"genkey", "blue.key"}, 0, exitUsage, `"blue.key" is not an ID`},
		{[]string{"genkey", "1", "2"}, 0, exitUsage, "accepts at most 1 arg"},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), c.args, &stdout, &stderr)
		if code != c.code || !strings.Contains(stderr.String(), c.stderr) || c.stderr == "" && stderr.Len() > 0 {
			t.Errorf("%v: exit code %d, %s", c.args, code, &stderr)
		}
		if c.code != exitWell {
			if stdout.Len() > 0 {
				t.Errorf("%v: prints %q", c.args, &stdout)
			}
			continue
		}
		keys, err := seal.ParseKeys(stdout.Bytes())
		if err != nil || keys.Len() != 1 || keys.First().ID != c.id || strings.Count(stdout.String(), "\n") != 1 {
			t.Errorf("%v: %v, %v", c.args, keys, err)
		}
	}
}
