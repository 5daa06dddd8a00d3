package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"joolctl/internal/docstest"
)

// TestDocumentation runs the command lines of the README and of the migration from joold and back, unchanged and in
// their order.
func TestDocumentation(t *testing.T) {
	enter(t, "test")
	docstest.Root = Documentation
	t.Setenv("PATH", filepath.Dir(joolctl)+":"+os.Getenv("PATH"))
	t.Run("README.md", func(t *testing.T) {
		r := newReader(t)
		run(t, "ip", "netns", "exec", "blue", tool(t), "instance", "remove", "nat") // only the migration is about several instances
		r.follow("README.md")
	})
	t.Run("migrating", func(t *testing.T) {
		r := newReader(t)
		run(t, tool(t), "-i", "nat", "global", "update", "ss-enabled", "true") // or joold would not have run
		r.follow("docs/migrating-from-joold.md")
	})
}

// reader types the commands of the documentation on a host that has a Jool instance "nat" in its own namespace and in "blue".
type reader struct {
	t *testing.T
	// dir is the shell's working directory; up and single are the running programs.
	dir        string
	up, single *process
	typed      int
}

func newReader(t *testing.T) *reader {
	t.Helper()
	r := &reader{t: t, dir: t.TempDir()}
	blue := newNamespace(t, "blue")
	t.Cleanup(func() { ip(t, "netns del blue") })
	ip(t, "link add eth1 type veth peer name eth1 netns blue")
	t.Cleanup(func() { ip(t, "link del eth1") })
	run(t, "sysctl", "-w", "net.ipv6.conf.eth1.accept_dad=0") // an address can send at once; the reader types faster than a person
	ip(t, "link set eth1 up")
	blue.ip(t, "link set eth1 up")
	newInstance(t, blue)
	run(t, tool(t), "instance", "add", "nat", "--netfilter", "--pool6", pool6)
	t.Cleanup(func() { run(t, tool(t), "instance", "remove", "nat") })
	if err := os.MkdirAll("/etc/joold.d", 0o755); err != nil { // the package has it
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/etc/joold.d") })
	const packaged = "/usr/libexec/joolctl"
	if err := os.MkdirAll(packaged, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(packaged) })
	if err := os.Symlink(joold, filepath.Join(packaged, "joold")); err != nil {
		t.Fatal(err)
	}
	return r
}

// follow writes a document's files and types its lines.
func (r *reader) follow(document string) {
	r.t.Helper()
	document = filepath.Join(Documentation, document)
	const netsocket = `{"multicast address": "ff08::db8:64:64", "multicast port": "6464", "in interface": "eth1", "out interface": "eth1", "reuseaddr": 1}`
	const modsocket = `{"instance": "nat"}`
	r.write("netsocket.json", netsocket) // those of a user of joold
	r.write("modsocket.json", modsocket)
	for _, b := range docstest.Blocks(r.t, "json") {
		if path := strings.Trim(b.Before[strings.LastIndex(b.Before, " ")+1:], "`:"); b.File == document && filepath.IsAbs(path) {
			r.write(path, strings.Join(b.Lines, "\n"))
		}
	}
	for _, b := range docstest.Blocks(r.t, "sh") {
		if b.File != document {
			continue
		}
		for i, line := range b.Lines {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); line != "" {
				r.t.Logf("%s:%d: %s", filepath.Base(b.File), b.Line+i, line)
				r.typeIn(line)
			}
		}
	}
	r.end(&r.up)
	r.end(&r.single)
	if r.typed < 5 {
		r.t.Errorf("only %d lines were run", r.typed)
	}
}

func (r *reader) write(path, text string) {
	r.t.Helper()
	if !filepath.IsAbs(path) {
		path = filepath.Join(r.dir, path)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

// typeIn runs one command line.
func (r *reader) typeIn(line string) {
	r.t.Helper()
	words := strings.Fields(line)
	switch program := docstest.Split(line)[0]; {
	case program == "make" || program == "apt-get" || program == "install" || line == "systemctl daemon-reload":
		return // the machine's programs are built and installed; the packages have tests of their own
	case program == "cd":
		r.dir = words[1]
	case program == "systemctl": // there is none here; the units have a test of their own
		r.systemctl(words)
	case line == "joolctl up":
		r.end(&r.up)
		r.serve()
	case filepath.Base(program) == "joold":
		if program != "joold" && losesBursts(module(r.t)) {
			return // before 4.1.13 it takes other arguments
		}
		if !strings.HasPrefix(line, "ip netns exec") {
			r.end(&r.up) // or two would serve one instance
		}
		r.end(&r.single)
		r.single = r.start(words)
		eventually(r.t, listensWithin, line+" listens", func() string {
			r.single.running(r.t)
			if out, _ := command(r.t, append(inNamespaceOf(words), "ss", "-lunH", "sport = :6464")...); !strings.Contains(out, ":6464") {
				return "nobody does"
			}
			return ""
		})
	case line == "joolctl status --watch":
		p := r.start(words)
		eventually(r.t, listensWithin, "two screens are shown", func() string {
			p.running(r.t)
			if strings.Count(p.log.String(), "SYNCED") < 2 {
				return "so far: " + p.log.String()
			}
			return ""
		})
		_ = p.cmd.Process.Signal(syscall.SIGINT)
		<-p.ended
		if p.err != nil {
			r.t.Errorf("%v:\n%s", p.err, p.log.String())
		}
	case program == "joolctl" && !slices.Contains([]string{"check", "init", "doctor"}, words[1]) && r.up == nil:
		r.serve() // "on the host that still runs joolctl"
		fallthrough
	default:
		cmd := exec.Command("bash", "-c", line)
		cmd.Dir = r.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			r.t.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	r.typed++
}

// inNamespaceOf returns the start of a command line that runs a program in a namespace.
func inNamespaceOf(words []string) []string {
	if len(words) > 4 && words[0] == "ip" {
		return words[:4]
	}
	return nil
}

func (r *reader) systemctl(words []string) {
	r.t.Helper()
	if words[len(words)-1] != "joolctl" {
		return // the unit that starts the C joold
	}
	switch words[1] {
	case "enable":
		r.end(&r.single)
		r.end(&r.up)
		r.serve()
	case "disable":
		r.end(&r.up)
	case "reload":
		r.typeIn("joolctl reload") // as the unit does
	default:
		r.t.Fatalf("systemctl %s is not known here", words[1])
	}
}

// serve starts the supervisor and waits until it serves.
func (r *reader) serve() {
	r.t.Helper()
	r.up = r.start([]string{"joolctl", "up"})
	eventually(r.t, listensWithin, "all pairs run", func() string {
		r.up.running(r.t)
		if out, code := command(r.t, "joolctl", "status"); code != exitOK {
			return fmt.Sprintf("exit status %d: %s", code, out)
		}
		return ""
	})
}

func (r *reader) start(words []string) *process {
	r.t.Helper()
	return startWith(r.t, nil, func(cmd *exec.Cmd) { cmd.Dir = r.dir }, words...)
}

// end ends a program if it is running.
func (r *reader) end(p **process) {
	r.t.Helper()
	if *p != nil {
		(*p).kill()
		*p = nil
	}
}
