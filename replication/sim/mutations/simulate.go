package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// packages have the decisions of a worker. An edit's text is looked for in all of their files, so that code can move
// between them.
var packages = []string{"worker", "replication", "seal", "session", "syncwire"}

// moduleRoot returns the directory of go.mod.
func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

// sources returns the packages' files but for tests, by path.
func sources(root string) (map[string]string, error) {
	files := make(map[string]string)
	for _, dir := range packages {
		paths, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			files[path] = string(text)
		}
	}
	return files, nil
}

// apply returns the files that a mutation changes, as it leaves them. Each edit's old text must occur exactly once.
func (m mutation) apply(files map[string]string) (map[string]string, error) {
	changed := make(map[string]string)
	for _, e := range m.edits {
		found := ""
		for path, text := range files {
			switch n := strings.Count(text, e.old); {
			case n == 0:
			case n > 1 || found != "":
				return nil, fmt.Errorf("mutation %q: the text occurs more than once: %q", m.name, e.old)
			default:
				found = path
			}
		}
		if found == "" {
			return nil, fmt.Errorf("mutation %q: no file has the text: %q", m.name, e.old)
		}
		text, before := changed[found]
		if !before {
			text = files[found]
		}
		if strings.Count(text, e.old) != 1 {
			return nil, fmt.Errorf("mutation %q: another edit changes the text, too: %q", m.name, e.old)
		}
		changed[found] = strings.Replace(text, e.old, e.new, 1)
	}
	return changed, nil
}

// result is the outcome of a mutation.
type result struct{ seed, rule string }

func (r result) found() bool { return r.seed != "" }

func (r result) String() string {
	if r.found() {
		return "seed " + r.seed + ": " + r.rule
	}
	return r.rule
}

// firstFailure is how TestSimulation reports a seed.
var firstFailure = regexp.MustCompile(`seed (\d+): (.*)`)

// simulate builds the worker's tests with a mutation, and runs the seed that is known to find it, and then others up to the
// first that fails. A seed that fails without the mutation, too, does not count. plain are the tests without it.
func simulate(root, plain string, files map[string]string, m mutation, seeds int) result {
	dir, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return result{rule: err.Error()}
	}
	defer os.RemoveAll(dir)
	binary, err := build(root, dir, files, m)
	if err != nil {
		return result{rule: err.Error()}
	}
	if seed := found[m.name]; seed != 0 && seed <= seeds {
		if r := first(root, binary, m.test(), seed, 1); r.found() && !first(root, plain, m.test(), seed, 1).found() {
			return r
		}
	}
	for from := 1; from <= seeds; {
		r := first(root, binary, m.test(), from, seeds+1-from)
		seed, err := strconv.Atoi(r.seed)
		if err != nil || !first(root, plain, m.test(), seed, 1).found() {
			return r
		}
		from = seed + 1
	}
	return notFound
}

var notFound = result{rule: "NOT FOUND"}

// first runs seeds of a test with a binary of the worker's tests, and returns the first that fails.
func first(root, binary, name string, from, seeds int) result {
	test := exec.Command(binary, "-test.run", "^"+name+"$", "-test.timeout", "2h", "-sim.first", "-sim.from", fmt.Sprint(from), "-sim.seeds", fmt.Sprint(seeds))
	test.Dir = filepath.Join(root, "worker")
	test.Env = append(os.Environ(), "GOMAXPROCS=1") // the seeds in order
	out, err := test.CombinedOutput()
	if err == nil {
		return notFound
	}
	if !errors.As(err, new(*exec.ExitError)) {
		return result{rule: err.Error()}
	}
	if seed := firstFailure.FindSubmatch(out); seed != nil {
		return result{string(seed[1]), string(seed[2])}
	}
	return result{rule: "the simulation failed without a violation: " + string(out[:min(len(out), 1000)])}
}

// build builds the worker's tests with a mutation.
func build(root, dir string, files map[string]string, m mutation) (binary string, err error) {
	changed, err := m.apply(files)
	if err != nil {
		return "", err
	}
	overlay := struct{ Replace map[string]string }{make(map[string]string)}
	for path, text := range changed {
		mutated := filepath.Join(dir, fmt.Sprintf("%d.go", len(overlay.Replace)))
		if err := os.WriteFile(mutated, []byte(text), 0o600); err != nil {
			return "", err
		}
		overlay.Replace[path] = mutated
	}
	list, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	listed := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(listed, list, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "worker.test")
	compile := exec.Command("go", "test", "-c", "-overlay", listed, "-o", binary, "./worker")
	compile.Dir = root
	if out, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mutation %q does not compile: %w: %s", m.name, err, bytes.TrimSpace(out))
	}
	return binary, nil
}
