// Package nstest creates network namespaces for tests with the ip command.
package nstest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var made atomic.Int64

// EnvNoRoot is an environment variable. If it is not empty, tests that need root are skipped, as in `make
// check`, which runs the same tests for every user.
const EnvNoRoot = "JOOLCTL_NO_ROOT"

// Need skips the test if it cannot create namespaces, and fails it in CI.
func Need(t testing.TB) {
	t.Helper()
	NeedRoot(t, "namespaces")
	why := ""
	if _, err := exec.LookPath("ip"); err != nil {
		why = "namespaces need the ip command (Debian: iproute2)"
	}
	skip(t, why)
}

// NeedRoot skips the test for all users but root, and fails it in CI. The message begins with the argument: the
// reason, as the subject of "need root".
func NeedRoot(t testing.TB, what string) {
	t.Helper()
	switch {
	case os.Getenv(EnvNoRoot) != "":
		t.Skipf("%s need root; %s is set", what, EnvNoRoot)
	case os.Getuid() != 0:
		skip(t, what+" need root")
	}
}

// skip skips the test unless why is empty. In CI it fails the test, because skips in CI go unnoticed.
func skip(t testing.TB, why string) {
	t.Helper()
	switch {
	case why == "":
	case os.Getenv("CI") == "true":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// Name returns an unused name for a namespace.
func Name() string { return fmt.Sprintf("joolctl-%d-%d", os.Getpid(), made.Add(1)) }

// New creates a namespace with a loopback interface that is up, and returns its name. The namespace is deleted
// at the end of the test.
func New(t testing.TB) string {
	t.Helper()
	Need(t)
	ns := Name()
	Add(t, ns)
	return ns
}

// Add creates a namespace with a given name, which is deleted at the end of the test.
func Add(t testing.TB, ns string) {
	t.Helper()
	ip(t, "", "netns", "add", ns)
	t.Cleanup(func() { Delete(t, ns) })
	ip(t, "", "-n", ns, "link", "set", "lo", "up")
}

// Delete deletes a namespace's name if it exists.
func Delete(t testing.TB, ns string) {
	t.Helper()
	if _, err := os.Stat("/run/netns/" + ns); err == nil {
		ip(t, "", "netns", "del", ns)
	}
}

// IP runs ip commands inside a namespace, each line one command.
func IP(t testing.TB, ns string, lines ...string) {
	t.Helper()
	ip(t, strings.Join(lines, "\n"), "-n", ns, "-batch", "-")
}

// End describes one end of a veth pair: its namespace, its interface name, and its addresses with prefix
// lengths.
type End struct {
	Namespace, Name string
	Addrs           []string
}

// Veth connects two namespaces, or one namespace with itself, by a veth pair, and waits until both ends can
// send.
func Veth(t testing.TB, a, b End) {
	t.Helper()
	ip(t, "", "-n", a.Namespace, "link", "add", a.Name, "type", "veth", "peer", "name", b.Name, "netns", b.Namespace)
	for _, e := range []End{a, b} {
		// Without duplicate address detection, addresses are usable at once.
		ip(t, "", "netns", "exec", e.Namespace, "sh", "-c", "echo 0 >/proc/sys/net/ipv6/conf/"+e.Name+"/accept_dad")
		lines := []string{"link set " + e.Name + " up"}
		for _, addr := range e.Addrs {
			line := "address add " + addr + " dev " + e.Name
			if strings.Contains(addr, ":") {
				line += " nodad"
			}
			lines = append(lines, line)
		}
		IP(t, e.Namespace, lines...)
	}
	waitUp(t, a)
	waitUp(t, b)
}

// waitUp waits until the kernel has attached a queue to an interface, which happens in the background. Until
// then the interface silently drops packets.
func waitUp(t testing.TB, e End) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; {
		out := ip(t, "", "-n", e.Namespace, "link", "show", "dev", e.Name)
		if strings.Contains(out, "state UP") && !strings.Contains(out, "qdisc noop ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s of %s does not come up: %s", e.Name, e.Namespace, out)
		}
	}
}

func ip(t testing.TB, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("ip", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s%s", strings.Join(args, " "), err, stdin, out)
	}
	return string(out)
}
