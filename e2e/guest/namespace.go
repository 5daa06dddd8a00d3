package guest

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"joolctl/nsthread"
)

// threads are the test program's own, in the namespaces of the topologies.
var threads = nsthread.NewPool()

// namespace is a network namespace made by a test, gone when the test ends.
type namespace struct {
	name   string
	thread *nsthread.Thread
}

// newNamespace makes one.
func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	run(t, "ip", "netns", "add", name)
	n := &namespace{name: name}
	t.Cleanup(func() { n.delete(t) })
	thread, err := threads.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	n.thread = thread
	return n
}

// delete removes the namespace; a second time does nothing.
func (n *namespace) delete(t testing.TB) {
	if n.thread != nil {
		n.thread.Release()
		n.thread = nil
		run(t, "ip", "netns", "del", n.name)
	}
}

// do has a thread inside the namespace call fn. Sockets that fn opens stay in
// the namespace.
func (n *namespace) do(t testing.TB, fn func() error) {
	t.Helper()
	var err error
	if doErr := n.thread.Do(func() { err = fn() }); doErr != nil {
		t.Fatalf("namespace %s: %v", n.name, doErr)
	}
	if err != nil {
		t.Fatalf("namespace %s: %v", n.name, err)
	}
}

// sysctl sets kernel parameters below net, given as path and value.
func (n *namespace) sysctl(t testing.TB, settings ...[2]string) {
	t.Helper()
	n.do(t, func() error {
		for _, s := range settings {
			if err := os.WriteFile("/proc/sys/net/"+s[0], []byte(s[1]), 0o644); err != nil {
				return err
			}
		}
		return nil
	})
}

// proc reads a file of the namespace's /proc/net.
func (n *namespace) proc(t testing.TB, file string) string {
	t.Helper()
	var b []byte
	n.do(t, func() (err error) {
		b, err = os.ReadFile("/proc/thread-self/net/" + file)
		return err
	})
	return string(b)
}

// ip runs commands of ip's inside the namespace, one a line.
func (n *namespace) ip(t testing.TB, commands string) {
	t.Helper()
	cmd := exec.Command("ip", "-n", n.name, "-batch", "-")
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -n %s: %v\n%s\n%s", n.name, err, commands, out)
	}
}

// exec runs a program inside the namespace and returns its output.
func (n *namespace) exec(t testing.TB, args ...string) string {
	t.Helper()
	return run(t, append([]string{"ip", "netns", "exec", n.name}, args...)...)
}

// run runs a program, which must succeed, and returns its output.
func run(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
