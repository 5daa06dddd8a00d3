package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

// Hosts are the two of a cluster that gets upgraded host by host.
type Hosts struct {
	Active, Standby string // versions of Jool
	Upstream        bool   // C joold on both, or ours
}

// OldAndNew are hosts with the oldest and the newest version that a lab has, both ways round, unless they are the same.
func OldAndNew(l *lab.Lab) []Hosts {
	if l.Oldest() == l.Newest() {
		return nil
	}
	return []Hosts{{Active: l.Oldest(), Standby: l.Newest()}, {Active: l.Newest(), Standby: l.Oldest()}}
}

// Tables has the sessions of two tables: the active host's at the end, and the standby's twice: after sessions were
// opened, and after a start with an empty table.
type Tables struct {
	Active, Live, Cold guest.Snapshot
}

// RunHosts boots two machines joined by a cable, in real time: two that count instructions have two clocks.
func (p Programs) RunHosts(ctx context.Context, l *lab.Lab, h Hosts, out io.Writer, args ...string) (tables Tables, err error) {
	daemon := "ours"
	if h.Upstream {
		daemon = "upstream"
	}
	var guests [2]Guest
	for i, role := range []struct{ jool, purpose, test string }{
		{h.Active, "versions active", "TestVersionsActive"},
		{h.Standby, "versions standby", "TestVersionsStandby"},
	} {
		g, err := GuestFor(l, role.purpose, role.jool, true)
		if err != nil {
			return tables, err
		}
		g.Args = slices.Concat(g.Args, []string{fmt.Sprintf("-test.run=^%s$/^%s$", role.test, daemon)}, args)
		g.Stdout = out
		guests[i] = g
	}
	left, err := p.runJoined(ctx, l, guests, 1)
	if err != nil {
		return tables, err
	}
	for _, t := range []struct {
		to   *guest.Snapshot
		text []byte
	}{{&tables.Active, left[0]["active.json"]}, {&tables.Live, left[1]["live.json"]}, {&tables.Cold, left[1]["cold.json"]}} {
		if err := json.Unmarshal(t.text, t.to); err != nil {
			return tables, fmt.Errorf("a machine's table: %w", err)
		}
	}
	return tables, nil
}

// runJoined boots two machines, joined by so many cables, and returns the files that they left.
func (p Programs) runJoined(ctx context.Context, l *lab.Lab, guests [2]Guest, cables int) (left [2]map[string][]byte, err error) {
	dir, err := os.MkdirTemp("", "joolctl-cable-")
	if err != nil {
		return left, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var failed [2]error
	var machines sync.WaitGroup
	for i, g := range guests {
		for n := range cables {
			g.QEMUArgs = append(g.QEMUArgs, cable(dir, n, i)...)
		}
		machines.Go(func() {
			if left[i], failed[i] = p.Run(ctx, l, g); failed[i] != nil {
				cancel() // the other waits for it
			}
		})
	}
	machines.Wait()
	return left, errors.Join(failed[:]...)
}

// cable gives one of two machines a network card, whose frames go from one unix socket of the directory's to the other
// machine's.
func cable(dir string, number, host int) []string {
	end := func(host int) string { return filepath.Join(dir, fmt.Sprintf("%d-%d", number, host)) }
	id := fmt.Sprintf("cable%d", number)
	return []string{
		"-netdev", fmt.Sprintf("dgram,id=%s,local.type=unix,local.path=%s,remote.type=unix,remote.path=%s", id, end(host), end(1-host)),
		"-device", fmt.Sprintf("virtio-net-pci,netdev=%s,mac=02:00:00:%02x:ca:%02x", id, number, host+1),
	}
}
