package guest

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"

	"joolctl/session"
)

// TestSealed has two NAT64s exchange sealed datagrams only, by IPv6 and IPv4 multicast. A third program without the key, which sends
// to the same group, changes nothing but counters. The key changes while sessions are opened.
func TestSealed(t *testing.T) {
	enter(t, "test")
	for _, group := range []string{group6, group4} {
		t.Run(group, func(t *testing.T) {
			t.Parallel()
			top := newTopology(t)
			top.serveEcho(t)
			keys := genkey(t, "1") + genkey(t, "2")
			pairJ, pairK := top.pairs(group)
			j, k := startSealed(t, pairJ.in(top.j), keys), startSealed(t, pairK.in(top.k), keys)
			j.awaitRunning(t, 1, listensWithin)
			k.awaitRunning(t, 1, listensWithin)
			top.keepConnections(t, 40000, 1)
			top.awaitSynced(t)

			top.forge(t, group)
			eventually(t, syncedWithin, "K counts the clear datagrams", func() string {
				if out, _ := k.command(t, "status", "-o", "json"); !strings.Contains(out, `"refused_clear_datagrams": 20`) {
					return "the status is: " + out
				}
				return ""
			})
			if got := len(top.k.sessions(t, "nat")); got != 1 {
				t.Errorf("K has %d sessions, want 1", got)
			}

			// The second key becomes the first one, on one host after the other, while connections are opened.
			lines := strings.SplitAfter(keys, "\n")
			for i, s := range []supervisor{j, k} {
				writeKeys(t, s.dir, lines[1]+lines[0])
				top.keepConnections(t, uint16(41000+100*i), 10)
				top.awaitSynced(t)
			}
			if out, code := k.command(t, "ready", "--all", "--wait", "30s"); code != exitOK {
				t.Errorf("K is not ready: %s", out)
			}
		})
	}
}

// startSealed starts a supervisor of a pair that requires sealed datagrams.
func startSealed(t *testing.T, p pair, keys string) supervisor {
	t.Helper()
	return startKeyed(t, p.secured("require"), keys)
}

// startKeyed starts a supervisor of a pair, beside whose files it writes a key file.
func startKeyed(t *testing.T, p pair, keys string) supervisor {
	t.Helper()
	dir := t.TempDir()
	p.write(t, dir)
	writeKeys(t, dir, keys)
	s := supervisor{dir: dir, socket: filepath.Join(t.TempDir(), "control.sock")}
	s.process = start(t, nil, joolctl, "up", dir, "--socket", s.socket)
	return s
}

// writeKeys replaces the key file.
func writeKeys(t *testing.T, dir, keys string) {
	t.Helper()
	file := filepath.Join(dir, keyFile)
	if err := os.WriteFile(file+".new", []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

// genkey returns a new line of a key file.
func genkey(t *testing.T, id string) string {
	t.Helper()
	return run(t, joolctl, "genkey", id)
}

// forge sends 20 clear datagrams with a session each to the group from J's namespace, as a host without the key does.
func (top *topology) forge(t *testing.T, group string) {
	t.Helper()
	entry, err := session.Packed40.Append(nil, session.Session{
		Proto: session.UDP, Src6: netip.MustParseAddrPort("[2001:db8::66]:1"), Dst6: netip.MustParseAddrPort("[64:ff9b::c000:208]:53"),
		Src4: netip.MustParseAddrPort(pool4 + ":61001"), Dst4: netip.MustParseAddrPort(addr4 + ":53"), Expires: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	top.j.do(t, func() error {
		link, err := net.InterfaceByName(syncLink)
		if err != nil {
			return err
		}
		to, network := &net.UDPAddr{IP: net.ParseIP(group), Port: groupPort}, "udp6"
		if to.IP.To4() != nil {
			network = "udp4"
		}
		c, err := net.ListenUDP(network, nil)
		if err != nil {
			return err
		}
		defer c.Close()
		if network == "udp4" {
			err = ipv4.NewPacketConn(c).SetMulticastInterface(link)
		} else {
			err = ipv6.NewPacketConn(c).SetMulticastInterface(link)
		}
		if err != nil {
			return err
		}
		for range 20 {
			if _, err := c.WriteTo(entry, to); err != nil {
				return err
			}
		}
		return nil
	})
}
