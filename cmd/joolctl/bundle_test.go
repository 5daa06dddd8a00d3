package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"joolctl/seal"
)

// TestBundle checks bundles made with and without a supervisor: they contain all files, the JSON files are valid, and no
// file contains a key.
func TestBundle(t *testing.T) {
	dir, socket := supervised(t, map[string]string{"a": "i"})
	key := seal.NewKey(1)
	for name, text := range map[string]string{"a.key": key.Line() + "\n", "b.netsocket.json": key.Line(), "b.modsocket.json": "{}"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	whole := []string{"version.json", "status.json", "ready.json", "events.json", "metrics.txt", "doctor.json", "check.json",
		"pairs/a/netsocket.json", "pairs/a/modsocket.json", "pairs/b/netsocket.json.error", "pairs/b/modsocket.json"}
	alone := []string{"version.json", "status.json.error", "ready.json.error", "events.json.error", "metrics.txt.error", "doctor.json"}
	for _, c := range []struct {
		socket string
		want   []string
	}{{socket, whole}, {filepath.Join(t.TempDir(), "none"), alone}} {
		file := filepath.Join(t.TempDir(), "x.tar.gz")
		if code, stdout, stderr := ran("bundle", file, "--socket", c.socket); code != exitWell || !strings.Contains(stdout, file) {
			t.Fatalf("code %d, %s", code, stderr)
		}
		var names []string
		for name, content := range unpack(t, file) {
			names = append(names, name)
			if bytes.Contains(content, []byte(strings.TrimPrefix(key.Line(), "1:"))) {
				t.Errorf("%s has the key", name)
			}
			if strings.HasSuffix(name, ".json") && !json.Valid(content) {
				t.Errorf("%s is %s", name, content)
			}
		}
		for _, want := range c.want {
			if !slices.Contains(names, want) {
				t.Errorf("the bundle has %v, but no %s", names, want)
			}
		}
		if code, _, stderr := ran("bundle", file, "--socket", c.socket); code != exitNotWell || !strings.Contains(stderr, "exists") {
			t.Errorf("a second bundle in the same file: code %d, %s", code, stderr)
		}
	}
}

// unpack returns the files of a bundle, by their names without the folder.
func unpack(t *testing.T, file string) map[string][]byte {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	compressed, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string][]byte)
	for in := tar.NewReader(compressed); ; {
		header, err := in.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		_, name, _ := strings.Cut(header.Name, "/")
		if files[name], err = io.ReadAll(in); err != nil {
			t.Fatal(err)
		}
	}
}
