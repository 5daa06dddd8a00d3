// Package nstest makes network namespaces for tests, with the ip command.
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

// EnvNoRoot, set to anything, makes tests that need root be skipped, as `make check` wants it for every user.
const EnvNoRoot = "JOOLCTL_NO_ROOT"

// Need skips the test where it can't make namespaces, and fails it in CI.
func Need(t testing.TB) {
	t.Helper()
	NeedRoot(t, "namespaces")
	why := ""
	if _, err := exec.LookPath("ip"); err != nil {
		why = "namespaces need the ip command (Debian: iproute2)"
	}
	skip(t, why)
}

// NeedRoot skips the test for any user but root, and fails it in CI. The test needs root for what it is told.
func NeedRoot(t testing.TB, what string) {
	t.Helper()
	switch {
	case os.Getenv(EnvNoRoot) != "":
		t.Skipf("%s need root; %s is set", what, EnvNoRoot)
	case os.Getuid() != 0:
		skip(t, what+" need root")
	}
}

// skip skips the test for a reason, and fails it in CI, where nobody reads skips.
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

// Name is one that no other namespace has.
func Name() string { return fmt.Sprintf("joolctl-%d-%d", os.Getpid(), made.Add(1)) }

// New makes a namespace with a loopback interface that is up, and returns its
// name. It is deleted at the test's end.
func New(t testing.TB) string {
	t.Helper()
	Need(t)
	ns := Name()
	Add(t, ns)
	return ns
}

// Add makes a namespace of a given name.
func Add(t testing.TB, ns string) {
	t.Helper()
	ip(t, "", "netns", "add", ns)
	t.Cleanup(func() { Delete(t, ns) })
	ip(t, "", "-n", ns, "link", "set", "lo", "up")
}

// Delete takes a namespace's name away, if it still has it.
func Delete(t testing.TB, ns string) {
	t.Helper()
	if _, err := os.Stat("/run/netns/" + ns); err == nil {
		ip(t, "", "netns", "del", ns)
	}
}

// IP runs ip commands, one a line, inside a namespace.
func IP(t testing.TB, ns string, lines ...string) {
	t.Helper()
	ip(t, strings.Join(lines, "\n"), "-n", ns, "-batch", "-")
}

// End is one end of a veth pair: where it is, what it is called, and its
// addresses with their prefixes' lengths.
type End struct {
	Namespace, Name string
	Addrs           []string
}

// Veth joins two namespaces, or two places in one.
func Veth(t testing.TB, a, b End) {
	t.Helper()
	ip(t, "", "-n", a.Namespace, "link", "add", a.Name, "type", "veth", "peer", "name", b.Name, "netns", b.Namespace)
	for _, e := range []End{a, b} {
		// Addresses are good at once, without a search for a double.
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

// waitUp waits for the kernel's own workers to notice that an end has become
// good for sending: it drops in silence until then.
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
