package guest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"joolctl/nsthread"
)

// threads are the test program's threads inside the topologies' namespaces.
var threads = nsthread.NewPool()

// namespace is a network namespace that a test has created. It is deleted when the test ends.
type namespace struct {
	name   string
	thread *nsthread.Thread
}

// newNamespaces creates namespaces.
func newNamespaces(t testing.TB, names ...string) []*namespace {
	t.Helper()
	made := make([]*namespace, len(names))
	var add, del strings.Builder
	for i, name := range names {
		made[i] = &namespace{name: name}
		fmt.Fprintf(&add, "netns add %s\n", name)
		fmt.Fprintf(&del, "netns del %s\n", name)
	}
	ip(t, add.String())
	t.Cleanup(func() {
		for _, n := range made {
			n.thread.Release()
		}
		ip(t, del.String())
	})
	for _, n := range made {
		thread, err := threads.Get(n.name)
		if err != nil {
			t.Fatal(err)
		}
		n.thread = thread
	}
	return made
}

// newNamespace creates a namespace that the caller must delete.
func newNamespace(t testing.TB, name string) *namespace {
	t.Helper()
	ip(t, "netns add "+name)
	thread, err := threads.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	return &namespace{name: name, thread: thread}
}

// do has a thread inside the namespace call fn. Sockets that fn opens stay in
// the namespace, and programs that it starts.
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
	ip(t, commands, "-n", n.name)
}

// exec runs a program inside the namespace, which must succeed, and returns its output.
func (n *namespace) exec(t testing.TB, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &out
	n.do(t, cmd.Start)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%s: %s: %v\n%s", n.name, strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// ip runs commands of ip's, one a line. Starting a program is slow in the
// machine.
func ip(t testing.TB, commands string, options ...string) {
	t.Helper()
	cmd := exec.Command("ip", append(options, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(commands)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s\n%s", strings.Join(options, " "), err, commands, out)
	}
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

// hasLink reports whether the namespace has an interface of that name.
func (n *namespace) hasLink(t testing.TB, name string) (has bool) {
	t.Helper()
	n.do(t, func() error {
		_, err := net.InterfaceByName(name)
		has = err == nil
		return nil
	})
	return has
}

// awaitCarrier waits until something can be sent through an interface that is up. The kernel looks at changes of
// carriers once a second.
func (n *namespace) awaitCarrier(t testing.TB, name string) {
	t.Helper()
	var link *net.Interface
	for end := time.Now().Add(listensWithin); time.Now().Before(end); <-time.After(10 * time.Millisecond) {
		n.do(t, func() (err error) {
			link, err = net.InterfaceByName(name)
			return err
		})
		if link.Flags&net.FlagRunning != 0 {
			return
		}
	}
	t.Fatalf("%s: interface %s has no carrier: %v", n.name, name, link.Flags)
}
