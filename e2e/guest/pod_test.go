package guest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/packaging/kubernetes"
)

// TestPod runs the DaemonSet of packaging/kubernetes on two nodes, J and K: in a read-only root directory that has nothing but the
// program and the files of the ConfigMap, with the capabilities of the manifest.
func TestPod(t *testing.T) {
	enter(t, "test")
	example, err := kubernetes.Read()
	if err != nil {
		t.Fatal(err)
	}
	top := newTopology(t)
	top.serveEcho(t)
	var pods [2]pod
	for i, node := range []*namespace{top.j, top.k} {
		node.ip(t, fmt.Sprintf("link set %[1]s down\nlink set %[1]s name eth1\nlink set eth1 up", syncLink))
		pods[i] = startPod(t, node, example)
	}
	for _, p := range pods {
		// The probe answers within 200 ms, or says no: on a busy host it takes several attempts.
		eventually(t, repairedWithin, "the pod is ready", func() string {
			p.running(t)
			if out, code := p.exec(t, example.Probe[1:]...); code != exitOK {
				return fmt.Sprintf("exit status %d: %s", code, out)
			}
			return ""
		})
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("CapBnd:\t%016x\n", 1<<unix.CAP_NET_ADMIN); !strings.Contains(string(status), want) {
			t.Errorf("the pod has more capabilities than %q:\n%s", want, status)
		}
	}
	top.keepConnections(t, 40000, 20)
	top.awaitSynced(t)
	if out, code := pods[1].exec(t, "ready", "--all"); code != exitOK {
		t.Errorf("exit status %d: %s", code, out)
	}
}

// pod is a container that runs joolctl.
type pod struct{ *process }

func startPod(t *testing.T, node *namespace, example kubernetes.Example) pod {
	t.Helper()
	root := t.TempDir()
	for _, dir := range append(example.Mounts, "/usr/bin", "/proc", "/sys") {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "cp", joolctl, filepath.Join(root, "usr/bin/joolctl"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	run(t, "cp", self, filepath.Join(root, "enter"))
	for name, text := range example.Files {
		if err := os.WriteFile(filepath.Join(root, example.Mounts[0], name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "mount", "--bind", root, root)
	t.Cleanup(func() { run(t, "umount", root) })
	p := pod{startWith(t, node, func(cmd *exec.Cmd) {
		cmd.Dir = "/"
		cmd.Env = []string{envPod + "=" + strings.Join(example.Capabilities, ",")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID}
	}, append([]string{"/enter", "/usr/bin/joolctl"}, example.Args...)...)}
	return p
}

// exec runs joolctl as `kubectl exec` does, and returns its output and exit status.
func (p pod) exec(t *testing.T, args ...string) (string, int) {
	t.Helper()
	files := fmt.Sprintf("/proc/%d/root", p.cmd.Process.Pid) // the container's
	socket := filepath.Join(files, "run/joolctl/joolctl.sock")
	return command(t, append([]string{joolctl, "--socket", socket}, args...)...)
}
