package guest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/internal/docstest"
)

// TestInstallation runs the commands of docs/install.md, in their order, as they stand there, in a Debian with systemd that
// has jool-tools and jool-dkms. It checks after each block what the page says of it.
func TestInstallation(t *testing.T) {
	enter(t, "install")
	docstest.Root = Documentation
	i := &installation{t: t, dir: t.TempDir(), service: service{pairs: 1}}
	i.service.logOnFailure(t)
	i.prepare()
	steps := []struct {
		heading       string
		before, after func()
	}{
		{"Install", func() { i.download("old") }, i.installed},
		{"Install", nil, nil}, // the checksums
		{"Two files", nil, nil},
		{"Two files", nil, nil},
		{"Start", nil, i.started},
		{"Start", nil, i.member},
		{"Upgrade", func() { i.download("new") }, i.upgraded},
		{"From a build by hand", i.buildByHand, i.packagesOwn},
		{"Remove", nil, i.removed},
		{"Remove", nil, i.purged},
	}
	blocks := slices.DeleteFunc(docstest.Blocks(t, "sh"), func(b docstest.Block) bool { return filepath.Base(b.File) != "install.md" })
	if len(blocks) != len(steps) {
		t.Fatalf("docs/install.md has %d blocks of commands; this test knows %d", len(blocks), len(steps))
	}
	for n, b := range blocks {
		step := steps[n]
		if b.Heading != step.heading {
			t.Fatalf("docs/install.md:%d: block %d is below %q; this test expects it below %q", b.Line, n+1, b.Heading, step.heading)
		}
		if step.before != nil {
			step.before()
		}
		i.follow(b)
		if step.after != nil {
			step.after()
		}
	}
}

// installation is a Debian in which somebody follows docs/install.md.
type installation struct {
	t       *testing.T
	dir     string // where the shell is
	service service
	before  map[string]bool // the files of the system
	status  status          // at the last look
}

// prepare makes what the page takes for granted: the link to the other host, and a user.
func (i *installation) prepare() {
	i.t.Helper()
	ip(i.t, "link add eth1 type dummy\nlink set eth1 up")
	run(i.t, "useradd", "alice")
	i.before = systemFiles(i.t)
}

// follow runs a block in a shell.
func (i *installation) follow(b docstest.Block) {
	i.t.Helper()
	typeBlock(i.t, i.dir, b)
}

// download puts the package of a directory, and its checksums, where the shell is.
func (i *installation) download(version string) {
	i.t.Helper()
	download(i.t, version, i.dir)
}

// installed: "The installation starts nothing and enables nothing."
func (i *installation) installed() {
	i.t.Helper()
	i.checkVersion("old")
	i.service.checkState(i.t, "inactive", "disabled")
	if owner := run(i.t, "dpkg", "-S", "/usr/bin/joold", "/usr/libexec/joolctl/joold"); owner != "jool-tools: /usr/bin/joold\njoolctl: /usr/libexec/joolctl/joold\n" {
		i.t.Errorf("the packages of the two joolds are\n%s", owner)
	}
}

// checkVersion compares the versions of the installed package and of its program with that of the package in a directory.
func (i *installation) checkVersion(dir string) {
	i.t.Helper()
	if got, want := debVersion(i.t, ""), debVersion(i.t, dir); got != want {
		i.t.Errorf("version %s of the package is installed, want %s", got, want)
	}
	var v struct{ Version string }
	if err := json.Unmarshal([]byte(run(i.t, packaged, "version", "-o", "json")), &v); err != nil {
		i.t.Fatal(err)
	}
	if got, want := strings.TrimPrefix(v.Version, "v"), strings.ReplaceAll(debVersion(i.t, dir), "~", "-"); got+"-1" != want {
		i.t.Errorf("joolctl version says %s, and the package is %s", got, want)
	}
}

// started: "The state is running, SYNCED is alone without another host."
func (i *installation) started() {
	i.t.Helper()
	i.status = i.service.awaitGreen(i.t, "alone")
	i.service.checkState(i.t, "active", "enabled")
	eventually(i.t, 10*time.Second, "the journal has the fields of the log", func() string {
		var line struct {
			Priority string `json:"PRIORITY"`
			Message  string `json:"MESSAGE"`
			Module   string `json:"JOOLCTL_MODULE"`
		}
		out, _ := command(i.t, "journalctl", "--no-pager", "-u", "joolctl", "-o", "json", "-n", "1", "JOOLCTL_PAIR=nat", "--grep", "worker is running")
		if err := json.Unmarshal([]byte(out), &line); err != nil || line.Priority != "6" || !strings.Contains(line.Message, "pair=nat") || line.Module == "" {
			return "the journal has: " + out
		}
		return ""
	})
}

// member: "Members of the group joolctl may use the control socket."
func (i *installation) member() {
	i.t.Helper()
	run(i.t, "setpriv", "--reuid", "alice", "--regid", "alice", "--init-groups", packaged, "status")
	if out, code := command(i.t, "setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups", packaged, "status"); code == exitOK {
		i.t.Errorf("a user outside of the group may use the control socket:\n%s", out)
	}
}

// upgraded: "The restart keeps the sockets and counters of all workers."
func (i *installation) upgraded() {
	i.t.Helper()
	i.checkVersion("new")
	after := i.service.awaitGreen(i.t, "alone")
	checkNotReset(i.t, i.status, after)
	i.status = after
	i.service.checkState(i.t, "active", "enabled")
}

// byHand maps the files of a build by hand to the files of the package that the test copies there.
var byHand = map[string]string{
	"/etc/systemd/system/joolctl.service": "/usr/lib/systemd/system/joolctl.service",
	"/etc/systemd/system/joold@.service":  "/usr/lib/systemd/system/joold@.service",
	"/usr/local/bin/joolctl":              packaged,
	"/usr/local/bin/joold":                "/usr/libexec/joolctl/joold",
}

// buildByHand installs and starts a build by hand, which takes precedence over the package.
func (i *installation) buildByHand() {
	i.t.Helper()
	for to, from := range byHand {
		run(i.t, "cp", from, to)
	}
	run(i.t, "sed", "-i", "s|^ExecStart=/usr/bin/joolctl|ExecStart=/usr/local/bin/joolctl|", "/etc/systemd/system/joolctl.service")
	run(i.t, "systemctl", "daemon-reload")
	run(i.t, "systemctl", "restart", "joolctl")
	i.checkProgram("/usr/local/bin/joolctl")
}

func (i *installation) checkProgram(want string) {
	i.t.Helper()
	got, err := os.Readlink(filepath.Join("/proc", i.service.show(i.t, "MainPID"), "exe"))
	if err != nil || got != want {
		i.t.Errorf("the service runs %s (%v), want %s", got, err, want)
	}
}

// packagesOwn: the files of the build by hand are deleted, and the pairs in /etc/joold.d stay as they are.
func (i *installation) packagesOwn() {
	i.t.Helper()
	i.checkProgram(packaged)
	i.service.awaitGreen(i.t, "alone")
	for file := range byHand {
		if _, err := os.Lstat(file); err == nil {
			i.t.Errorf("%s is still there", file)
		}
	}
}

// nat is the directory of the pair.
var nat = filepath.Join(pairsDir, "nat")

// removed: "This stops the service. Your files stay, and the service is still enabled for a later installation."
func (i *installation) removed() {
	i.t.Helper()
	active, _ := command(i.t, "systemctl", "is-active", "joolctl")
	if strings.TrimSpace(active) != "inactive" {
		i.t.Errorf("systemctl is-active says %q", active)
	}
	for _, file := range []string{filepath.Join(nat, "netsocket.json"), filepath.Join(nat, "modsocket.json"), enabled} {
		if _, err := os.Lstat(file); err != nil {
			i.t.Error(err)
		}
	}
	if _, err := os.Stat(packaged); err == nil {
		i.t.Errorf("%s is still there", packaged)
	}
}

// enabled is the link by which systemd starts the service at boot.
const enabled = "/etc/systemd/system/multi-user.target.wants/joolctl.service"

// purged: only the files that somebody wrote in /etc/joold.d stay, and the group.
func (i *installation) purged() {
	i.t.Helper()
	checkLeft(i.t, i.before, pairsDir, nat, filepath.Join(nat, "modsocket.json"), filepath.Join(nat, "netsocket.json"))
	run(i.t, "getent", "group", "joolctl")
	if state := strings.TrimSpace(run(i.t, "systemctl", "is-system-running")); state != "running" {
		i.t.Errorf("the system is %s:\n%s", state, run(i.t, "systemctl", "--failed"))
	}
}
