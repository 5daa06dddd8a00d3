package events

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"joolctl/internal/await"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds the time from a change to its report. quiet is how long calmDown waits for a further report.
const (
	patience = time.Second
	quiet    = 2 * calm
)

// watched runs a Watcher that follows these namespaces until the end of the test. It returns the channel of
// reports once the initial ones have ended.
func watched(t *testing.T, namespaces ...string) (*Watcher, chan string) {
	t.Helper()
	nstest.Need(t)
	w := New(nsthread.NewPool(), nil)
	w.Follow(namespaces)
	told := make(chan string, 100)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.Run(ctx, func(ns string, all bool) {
			if all {
				ns = "all"
			}
			told <- ns
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	calmDown(told)
	return w, told
}

// calmDown discards reports until none arrives for the time quiet.
func calmDown(told chan string) {
	for {
		select {
		case <-told:
		case <-time.After(quiet):
			return
		}
	}
}

// wants waits for a report about a namespace.
func wants(t *testing.T, told chan string, ns string) {
	t.Helper()
	for late := time.After(patience); ; {
		select {
		case got := <-told:
			if got == ns {
				return
			}
			if got != "all" {
				t.Errorf("event for %q", got)
			}
		case <-late:
			t.Errorf("no event for %q within %v", ns, patience)
			return
		}
	}
}

func TestLinks(t *testing.T) {
	a, b := nstest.New(t), nstest.New(t)
	_, told := watched(t, a, b)
	for _, line := range []string{
		"link add sync type veth peer name sync2", "link set sync up", "address add 192.0.2.1/24 dev sync",
		"address add 2001:db8::1/64 dev sync nodad", "address del 192.0.2.1/24 dev sync", "link set sync down", "link del sync",
	} {
		nstest.IP(t, a, line)
		wants(t, told, a)
		calmDown(told)
	}
	nstest.IP(t, b, "link add sync type veth peer name sync2")
	wants(t, told, b)
}

// TestNames checks that the creation, deletion and re-creation of a namespace are reported, and that the Watcher
// then listens for links inside it.
func TestNames(t *testing.T) {
	linked := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("/run/netns", linked); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "/run/netns/", "/var/run/netns/", linked + "/"} {
		t.Run(prefix+"NAME", func(t *testing.T) {
			t.Parallel()
			nstest.Need(t)
			ns := nstest.Name()
			spelling := prefix + ns
			_, told := watched(t, spelling)
			for range 2 {
				nstest.Add(t, ns)
				wants(t, told, spelling)
				calmDown(told)
				nstest.IP(t, ns, "link add sync type veth peer name sync2")
				wants(t, told, spelling)
				calmDown(told)
				nstest.Delete(t, ns)
				wants(t, told, spelling)
			}
			nstest.Add(t, ns)
			nstest.Delete(t, ns)
			nstest.Add(t, ns)
			calmDown(told)
			nstest.IP(t, ns, "link add sync type veth peer name sync2")
			wants(t, told, spelling)
			nstest.Delete(t, ns)
		})
	}
}

// TestLetsGo checks that the Watcher releases a namespace whose name is deleted: the kernel removes the
// namespace and its end of the veth pair.
func TestLetsGo(t *testing.T) {
	for name, leave := range map[string]func(*testing.T, *Watcher, string){
		"deleted": func(t *testing.T, _ *Watcher, ns string) { nstest.Delete(t, ns) },
		"no longer followed, then deleted": func(t *testing.T, w *Watcher, ns string) {
			w.Follow(nil)
			nstest.Delete(t, ns)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := nstest.New(t), nstest.New(t)
			nstest.Veth(t, nstest.End{Namespace: a, Name: "sync"}, nstest.End{Namespace: b, Name: "sync"})
			w, _ := watched(t, a)
			leave(t, w, a)
			await.Within(t, 10*time.Second, "the other end goes with its namespace", func() bool {
				return exec.Command("ip", "-n", b, "link", "show", "dev", "sync").Run() != nil
			})
		})
	}
}

// TestMany follows many namespaces, each with a thread of its own, and then stops following all but one.
func TestMany(t *testing.T) {
	const n = 50
	var all []string
	for range n {
		all = append(all, nstest.New(t))
	}
	w, told := watched(t, all...)
	nstest.IP(t, all[n-1], "link add sync type veth peer name sync2")
	for late := time.After(patience); ; { // the other places may still report their own start
		var got string
		select {
		case got = <-told:
		case <-late:
			t.Fatalf("no event for %q", all[n-1])
		}
		if got == all[n-1] {
			break
		}
	}
	w.Follow(all[:1])
	calmDown(told)
	nstest.IP(t, all[n-1], "link del sync")
	nstest.IP(t, all[0], "link add sync type veth peer name sync2")
	wants(t, told, all[0])
}

func TestModule(t *testing.T) {
	attrs := func(name string) []byte {
		b, err := netlink.MarshalAttributes([]netlink.Attribute{
			{Type: unix.CTRL_ATTR_FAMILY_ID, Data: []byte{32, 0}}, {Type: unix.CTRL_ATTR_FAMILY_NAME, Data: append([]byte(name), 0)},
		})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for name, want := range map[string]bool{"Jool": true, "nl80211": false, "Joolx": false, "": false} {
		if got := isJools(genetlink.Message{Data: attrs(name)}); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
	if isJools(genetlink.Message{Data: []byte{1, 2, 3}}) || isJools(genetlink.Message{}) {
		t.Error("garbage is Jool's")
	}
}

func ExampleWatcher() {
	w := New(nsthread.NewPool(), nil)
	w.Follow([]string{""}) // the namespace of this process
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	w.Run(ctx, func(ns string, all bool) {})
	fmt.Println("done")
	// Output: done
}
