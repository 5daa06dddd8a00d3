package supervisor

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/internal/await"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/seal"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// group is a supervisor with pairs in several namespaces on one link.
type group struct {
	*real
	names []string
	hub   string
}

// startGroup starts a group of three pairs with a mode and keys.
func startGroup(t *testing.T, mode string, keys ...seal.Key) *group {
	nstest.Need(t)
	g := &group{names: []string{"a", "b", "c"}, hub: nstest.New(t)}
	nstest.IP(t, g.hub, "link add lan type bridge mcast_snooping 0", "link set lan up")
	startReal(t, func(r *real) {
		g.real = r
		for i, name := range g.names {
			ns := g.join(i, fmt.Sprintf("10.64.0.%d/24", i+1))
			writePairFor(t, r.dir, name, ns, name, "sync", 6464)
			g.write(name, mode, keys...)
			r.kernel.Add(t, ns, name).Sessions = workertest.NewTable()
		}
	})
	return g
}

// join makes a namespace on the group's link. n must differ for each.
func (g *group) join(n int, addresses ...string) string {
	ns, port := nstest.New(g.t), fmt.Sprintf("port%d", n)
	nstest.Veth(g.t, nstest.End{Namespace: ns, Name: "sync", Addrs: addresses}, nstest.End{Namespace: g.hub, Name: port})
	nstest.IP(g.t, g.hub, "link set "+port+" master lan")
	return ns
}

// write writes the netsocket file and the key file of a pair; without keys, the pair has no key file.
func (g *group) write(name, mode string, keys ...seal.Key) {
	g.t.Helper()
	writeSecurity(g.t, g.dir, name, 6464, mode, keys...)
}

// writeSecurity writes the netsocket file of a pair on the link "sync", and its key file; without keys, the pair has no key file.
func writeSecurity(t testing.TB, dir, name string, port int, mode string, keys ...seal.Key) {
	t.Helper()
	secure, text := "", ""
	for _, key := range keys {
		secure = fmt.Sprintf(`, "key file": %q, "security": %q`, name+".key", mode)
		text += key.Line() + "\n"
	}
	must(t, os.WriteFile(filepath.Join(dir, name+".key"), []byte(text), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, name+".netsocket.json"), fmt.Appendf(nil,
		`{"multicast address": "233.252.0.64", "multicast port": "%d", "in interface": "sync", "out interface": "sync", "reuseaddr": 1%s}`, port, secure), 0o644))
}

// set changes the mode and the keys of a pair.
func (g *group) set(name, mode string, keys ...seal.Key) {
	g.t.Helper()
	g.write(name, mode, keys...)
	g.reread()
}

// says returns the codes and peers of the pairs' reasons, or of their warnings.
func (g *group) says(warnings bool, names ...string) string {
	g.t.Helper()
	var parts []string
	ready, err := g.Ready(context.Background(), names, false, ReadyOptions{})
	must(g.t, err)
	for _, p := range ready.Pairs {
		list := p.Reasons
		if warnings {
			list = p.Warnings
		}
		part := p.Name
		for _, reason := range list {
			part += fmt.Sprintf(" %s(%s)", reason.Code, reason.Peer)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, ", ")
}

// groupPatience is longer than the 12 s after which a silent peer is no longer live.
const groupPatience = time.Minute

// ready waits until the reasons of pairs are as wanted.
func (g *group) ready(what, want string, names ...string) {
	g.t.Helper()
	await.Right(g.t, groupPatience, what, func() string {
		if got := g.says(false, names...); got != want {
			return fmt.Sprintf("%q, want %q", got, want)
		}
		return ""
	})
}

// hear waits until the pairs have exactly each other as live peers and are complete. Each peer must have the given mode
// and keys; "": any.
func (g *group) hear(what, mode string, ids []int, names ...string) {
	g.t.Helper()
	await.Right(g.t, groupPatience, what, func() string {
		status, err := g.Status(context.Background(), names)
		must(g.t, err)
		for _, row := range status.Workers {
			live := slices.DeleteFunc(row.Peers, func(p Peer) bool { return !p.Live })
			other := func(p Peer) bool {
				return mode != "" && (p.Security != mode || !slices.Equal(p.KeyIDs, ids) || mode != "off" && (p.SealingKeyID == nil || *p.SealingKeyID != ids[0]))
			}
			if row.Synced != "yes" || len(live) != len(names)-1 || slices.ContainsFunc(live, other) {
				return fmt.Sprintf("%s: synced %s, peers %+v", row.Name, row.Synced, live)
			}
		}
		return ""
	})
}

// attack returns a function that sends datagrams from an address to the group: clear ones, forged ones, and ones sealed
// with an unknown key.
func attack(t *testing.T, ns, from string) (send func()) {
	t.Helper()
	pool := nsthread.NewPool()
	thread, err := pool.Get(ns)
	must(t, err)
	t.Cleanup(thread.Release)
	var conn *net.UDPConn
	must(t, thread.Do(func() {
		conn, err = net.DialUDP("udp4", &net.UDPAddr{IP: net.ParseIP(from)}, &net.UDPAddr{IP: net.ParseIP("233.252.0.64"), Port: 6464})
	}))
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	hello := syncwire.Message{Sender: 666, Body: &syncwire.Hello{Sync: syncwire.SyncNo, Sessions: 1000, Generation: 9, Security: syncwire.NewSecurity(syncwire.SecurityOff)}}.Append(nil)
	sealed := func(id byte) []byte { return append([]byte{0, 0, 2, id}, make([]byte, 100)...) }
	return func() {
		for _, b := range [][]byte{hello, sealed(1), sealed(77)} {
			_, _ = conn.Write(b)
		}
	}
}
