package guest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// gateway is a NAT64 host of a failover test, which crashes and boots. Its programs see a /run of their own.
type gateway struct {
	*namespace
	kind  daemon
	pairs []gatewayPair
	dir   string
	run   string

	// route starts the programs that decide whether the host serves.
	route func(*gateway, testing.TB)
	// serves reports whether all traffic of the host's instances goes through it, or why not.
	serves func(*gateway, testing.TB) string

	programs   []*process
	poolRoutes *process // packaging/bgp's nat64-routes
}

// gatewayPair is a pair of a gateway, and its instance in the namespace in.
type gatewayPair struct {
	pair
	in       *namespace
	instance instance
}

// newGateway writes the files of the pairs. The host does not run yet.
func newGateway(t testing.TB, kind daemon, n *namespace, pairs ...gatewayPair) *gateway {
	t.Helper()
	dir := t.TempDir()
	h := &gateway{namespace: n, kind: kind, pairs: pairs, dir: filepath.Join(dir, "joold.d"), run: filepath.Join(dir, "run")}
	if err := os.Mkdir(h.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, p := range pairs {
		if kind.ours() && p.in != n {
			p.namespace = p.in.name
		}
		p.write(t, h.dir)
		p.in.exec(t, "jool", "instance", "flush")
	}
	return h
}

// start starts a program of the host.
func (h *gateway) start(t testing.TB, args ...string) *process {
	t.Helper()
	return h.startIn(t, h.namespace, args...)
}

func (h *gateway) startIn(t testing.TB, n *namespace, args ...string) *process {
	t.Helper()
	p := startWithRun(t, n, h.run, args...)
	h.programs = append(h.programs, p)
	return p
}

// boot starts everything: links, instances, workers, and the programs that decide whether the host serves.
func (h *gateway) boot(t testing.TB) {
	t.Helper()
	h.plugIn(t)
	h.bootApart(t)
}

// bootApart is boot without the link to the other host.
func (h *gateway) bootApart(t testing.TB) {
	t.Helper()
	run(t, "rm", "-rf", h.run)
	if err := os.Mkdir(h.run, 0o755); err != nil {
		t.Fatal(err)
	}
	h.ip(t, "link set e6 up\nlink set e4 up")
	for _, p := range h.pairs {
		addInstance(t, p.in, p.instance)
	}
	for _, family := range []string{"-4", "-6"} { // those of nat64-routes do not survive a crash
		h.exec(t, "ip", family, "route", "flush", "proto", "static")
	}
	if h.kind.ours() {
		h.start(t, joolctl, "up", h.dir)
	}
	for _, p := range h.pairs {
		if !h.kind.ours() {
			net, mod := p.files(h.dir)
			h.startIn(t, p.in, cJoold, net, mod)
		}
	}
	h.route(h, t)
}

// plugIn brings the link to the other host up.
func (h *gateway) plugIn(t testing.TB) {
	t.Helper()
	for _, p := range h.pairs {
		p.in.ip(t, "link set "+syncLink+" up")
	}
}

// crash ends everything at once, the links and the session tables too.
func (h *gateway) crash(t testing.TB) {
	t.Helper()
	h.ip(t, "link set e4 down\nlink set e6 down") // e4 first: keepalived could say farewell there because of e6
	for _, p := range h.pairs {
		p.in.ip(t, "link set "+syncLink+" down")
	}
	for _, p := range h.programs {
		p.running(t)
		p.kill()
	}
	h.programs = nil
	for _, p := range h.pairs {
		p.in.exec(t, "jool", "instance", "remove", p.instance.name)
	}
}

// awaitServing waits until all traffic of the host's instances goes through it.
func (h *gateway) awaitServing(t testing.TB) {
	t.Helper()
	eventually(t, time.Minute, "traffic goes through "+h.name, func() string {
		for _, p := range h.programs {
			p.running(t)
		}
		return h.serves(h, t)
	})
}

// startWithRun starts a program whose /run is the directory run, with the namespaces' names in it: hosts of one machine
// must not share the sockets and files that programs have there.
func startWithRun(t testing.TB, n *namespace, run string, args ...string) *process {
	t.Helper()
	const script = `mkdir -p "$0/netns" && mount --rbind /run/netns "$0/netns" && mount --rbind "$0" /run && exec "$@"`
	return startWith(t, n, func(*exec.Cmd) {}, append([]string{"unshare", "-m", "sh", "-c", script, run}, args...)...)
}
