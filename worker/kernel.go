package worker

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread"
)

// Kernel connects to Jool instances. Tests replace it.
type Kernel interface {
	// Dial connects to an instance in the calling thread's namespace, like joolnl.Dial.
	Dial(instance string, receiveBuffer int) (*joolnl.Conn, error)
}

type realKernel struct{}

func (realKernel) Dial(instance string, receiveBuffer int) (*joolnl.Conn, error) {
	return joolnl.Dial(instance, receiveBuffer)
}

// inNamespace returns the words that name a namespace in a message.
func inNamespace(ns string) string {
	if ns == "" {
		return "here, in joolctl's own namespace"
	}
	return fmt.Sprintf("in namespace %q", ns)
}

// inside returns a command line that runs the command in a namespace.
func inside(ns, command string) string {
	switch {
	case ns == "":
		return command
	case ns[0] == '/':
		return fmt.Sprintf("nsenter --net=%s %s", ns, command)
	}
	return fmt.Sprintf("ip netns exec %s %s", ns, command)
}

// getThread returns the thread of a namespace, or a *Missing if there is no such namespace.
func getThread(pool *nsthread.Pool, ns string) (*nsthread.Thread, error) {
	th, err := pool.Get(ns)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, nsthread.ErrNotNamespace) && ns != "" && ns[0] != '/' {
		m := &Missing{What: fmt.Sprintf("namespace %q does not exist", ns)}
		switch {
		case strings.HasPrefix(ns, "/proc/"):
			m.What += ": its process has ended"
		case ns[0] == '/':
			m.Fix = fmt.Sprintf("touch %s && mount --bind /proc/PID/ns/net %[1]s", ns)
		default:
			m.Fix = "ip netns add " + ns
		}
		return nil, m
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, notPermitted(ns, err)
	}
	if err != nil {
		return nil, fmt.Errorf("namespace %q: %w", ns, err)
	}
	return th, nil
}

// notPermitted explains why the process may not open a namespace. If the path is a link into /proc, the message says how to
// give that namespace a name instead.
func notPermitted(ns string, err error) error {
	path := nsthread.Path(ns)
	var at *fs.PathError
	if _, linkErr := filepath.EvalSymlinks(path); !errors.As(linkErr, &at) || !strings.HasPrefix(at.Path, "/proc/") {
		return fmt.Errorf("namespace %q: %w; look at the owner and the mode of %s and of the directories above it", ns, err, path)
	}
	pid, _, _ := strings.Cut(strings.TrimPrefix(at.Path, "/proc/"), "/")
	if ns == path {
		return fmt.Errorf("namespace %q: %w: it leads to %s, which needs CAP_SYS_PTRACE; give it a name, as in: ip netns attach blue %s, and write \"blue\"",
			ns, err, at.Path, pid)
	}
	return fmt.Errorf("namespace %q: %w: it leads to %s, which needs CAP_SYS_PTRACE; type: rm %s && ip netns attach %s %s",
		ns, err, at.Path, path, ns, pid)
}

// dial connects to the pair's instance, checks that it exists and that session synchronisation is on, and returns its
// settings. It must be called on the instance's thread.
func (w *Worker) dial(spec configdir.Spec) (*joolnl.Conn, joolnl.Globals, error) {
	c, err := w.kernel().Dial(spec.Instance, spec.ReceiveBuffer)
	if errors.Is(err, joolnl.ErrNoModule) {
		return nil, joolnl.Globals{}, noModule()
	}
	if err != nil {
		return nil, joolnl.Globals{}, fmt.Errorf("connecting to Jool's kernel module: %w", err)
	}
	err = checkAlive(c, spec)
	var g joolnl.Globals
	if err == nil {
		g, err = w.askSettings(c, spec)
	}
	if err != nil {
		c.Close()
		return nil, joolnl.Globals{}, err
	}
	return c, g, nil
}

func (w *Worker) kernel() Kernel {
	if w.env.Kernel == nil {
		return realKernel{}
	}
	return w.env.Kernel
}

func noModule() *Missing {
	return &Missing{What: "the kernel module jool is not loaded", Fix: "modprobe jool"}
}

// checkAlive returns an error unless the instance exists. It must be called on the instance's thread.
func checkAlive(c module, spec configdir.Spec) error {
	alive, err := c.AskHello()
	switch {
	case joolnl.IsNotLoaded(err):
		return noModule()
	case errors.Is(err, unix.EPERM):
		return errors.New("Jool's kernel module refuses the request: CAP_NET_ADMIN is needed; run joolctl as root")
	case err != nil:
		return fmt.Errorf("asking for instance %q %s: %w", spec.Instance, inNamespace(spec.Namespace), err)
	case !alive:
		return &Missing{
			What: fmt.Sprintf("instance %q does not exist %s", spec.Instance, inNamespace(spec.Namespace)),
			Fix:  inside(spec.Namespace, fmt.Sprintf("jool instance add %s …", spec.Instance)),
		}
	}
	return nil
}

// askSettings returns the instance's settings, and a *Missing if session synchronisation is off in the instance. If the pair
// says so (EnableSS), it first switches session synchronisation on. It must be called on the instance's thread.
func (w *Worker) askSettings(c module, spec configdir.Spec) (joolnl.Globals, error) {
	g, err := c.AskGlobals()
	if err == nil && !g.SSEnabled && spec.EnableSS {
		if err := c.AskUpdate(joolnl.Change{Setting: joolnl.SSEnabled, Value: 1}); err != nil {
			return g, fmt.Errorf("turning session synchronisation on in instance %q %s: %w", spec.Instance, inNamespace(spec.Namespace), err)
		}
		w.log.warn("session synchronisation was off in the instance; turned it on", "instance", spec.Instance)
		g, err = c.AskGlobals()
	}
	if err != nil {
		return g, fmt.Errorf("reading the settings of instance %q %s: %w", spec.Instance, inNamespace(spec.Namespace), err)
	}
	if !g.SSEnabled {
		return g, &Missing{
			What: fmt.Sprintf("session synchronisation is off in instance %q %s", spec.Instance, inNamespace(spec.Namespace)),
			Fix:  inside(spec.Namespace, fmt.Sprintf("jool -i %s global update ss-enabled true", spec.Instance)),
		}
	}
	return g, nil
}

// findInterface looks up an interface by name or address. The calling thread and the socket fd must be in the same namespace.
// If nameOrAddress is "", it returns nil: the kernel chooses. The returned interface has only its index.
func findInterface(fd int, nameOrAddress, key, ns string) (*net.Interface, error) {
	if nameOrAddress == "" {
		return nil, nil
	}
	var index int
	var err error
	isAddress := strings.ContainsAny(nameOrAddress, ".:") && net.ParseIP(nameOrAddress) != nil
	if isAddress {
		index, err = interfaceByAddress(nameOrAddress)
	} else {
		index, err = interfaceByName(fd, nameOrAddress)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s %s %s: %w", key, nameOrAddress, inNamespace(ns), err)
	case index == 0 && isAddress:
		return nil, &Missing{
			What: fmt.Sprintf("%s %s: no interface has this address %s", key, nameOrAddress, inNamespace(ns)),
			Fix:  inside(ns, fmt.Sprintf("ip address add %s/… dev …", nameOrAddress)),
		}
	case index == 0:
		return nil, &Missing{
			What: fmt.Sprintf("%s %q does not exist %s", key, nameOrAddress, inNamespace(ns)),
			Fix:  inside(ns, fmt.Sprintf("ip link add %s …", nameOrAddress)),
		}
	}
	return &net.Interface{Index: index}, nil
}
