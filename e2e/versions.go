package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

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

// Tables are what they hold: the active one in the end, the standby after sessions have been opened, and after
// it has started again with an empty table.
type Tables struct {
	Active, Live, Cold guest.Snapshot
}

// RunHosts boots two machines joined by a cable, in real time: two that count instructions have two clocks.
func (p Programs) RunHosts(ctx context.Context, l *lab.Lab, h Hosts, out io.Writer, args ...string) (tables Tables, err error) {
	dir, err := os.MkdirTemp("", "joolctl-cable-")
	if err != nil {
		return tables, err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	daemon := "ours"
	if h.Upstream {
		daemon = "upstream"
	}
	ends := [2]string{filepath.Join(dir, "active"), filepath.Join(dir, "standby")}
	var left [2]map[string][]byte
	var failed [2]error
	var machines sync.WaitGroup
	for i, role := range []struct{ jool, purpose, test string }{
		{h.Active, "versions active", "TestVersionsActive"},
		{h.Standby, "versions standby", "TestVersionsStandby"},
	} {
		machines.Go(func() {
			left[i], failed[i] = p.Run(ctx, l, Guest{
				Jool:     role.jool,
				Purpose:  role.purpose,
				Args:     append([]string{fmt.Sprintf("-test.run=^%s$/^%s$", role.test, daemon)}, args...),
				Timeout:  4 * time.Minute,
				Stdout:   out,
				QEMUArgs: cable(ends[i], ends[1-i], i),
			})
			if failed[i] != nil {
				cancel() // the other waits for it
			}
		})
	}
	machines.Wait()
	if err := errors.Join(failed[:]...); err != nil {
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

// cable gives a machine a network card, whose frames go from one unix socket to
// another machine's.
func cable(local, remote string, host int) []string {
	return []string{
		"-netdev", "dgram,id=cable,local.type=unix,local.path=" + local + ",remote.type=unix,remote.path=" + remote,
		"-device", fmt.Sprintf("virtio-net-pci,netdev=cable,mac=02:00:00:00:ca:%02x", host+1),
	}
}
