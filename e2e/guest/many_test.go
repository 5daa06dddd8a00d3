package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// startsWithin bounds the start of hundreds.
	startsWithin = 3 * time.Minute
	// memoryAfter is when memory is looked at.
	memoryAfter = 45 * time.Second
)

// TestMany measures what many pairs cost, with one supervisor and with as many
// of Jool's own joold, and leaves that in /out.
func TestMany(t *testing.T) {
	enter(t, "many")
	var all []Many
	for _, n := range []int{40, 500} {
		t.Run(fmt.Sprintf("%d namespaces", n), func(t *testing.T) {
			pairs := manyNamespaces(t, n)
			all = append(all,
				superviseMany(t, fmt.Sprintf("joolctl up, %d pairs in %d namespaces", n, n), pairs),
				joolds(t, fmt.Sprintf("%d C joolds in %d namespaces", n, n), pairs))
		})
	}
	t.Run("one namespace", func(t *testing.T) {
		const n = 500
		pairs := manyInstances(t, n)
		all = append(all, superviseMany(t, fmt.Sprintf("joolctl up, %d pairs in one namespace", n), pairs))
	})
	writeJSON(t, "/out/many.json", all)
	for _, m := range all {
		b, _ := json.Marshal(m)
		t.Log(string(b))
	}
}

// manyNamespaces makes namespaces with an instance each, joined two by two.
func manyNamespaces(t *testing.T, n int) []placed {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("many%d", i))
	}
	made := newNamespaces(t, names...)
	var links strings.Builder
	for i := 0; i < n; i += 2 {
		fmt.Fprintf(&links, "link add %[1]s netns %[2]s type veth peer name %[1]s netns %[3]s\n", syncLink, names[i], names[i+1])
	}
	ip(t, links.String())
	var pairs []placed
	for _, ns := range made {
		ns.ip(t, "link set lo up\nlink set "+syncLink+" up")
		addInstance(t, ns, natInstance)
		pairs = append(pairs, placed{pair{name: ns.name, instance: "nat", group: group6, port: groupPort, link: syncLink}, ns})
	}
	return pairs
}

// manyInstances makes instances in one namespace, each with a port of its own.
func manyInstances(t *testing.T, n int) []placed {
	ns := newNamespaces(t, "many")[0]
	ns.ip(t, "link add "+syncLink+" type veth peer name peer\nlink set lo up\nlink set peer up\nlink set "+syncLink+" up")
	var pairs []placed
	for i := range n {
		name := fmt.Sprintf("i%d", i)
		addInstance(t, ns, instance{name: name, framework: "iptables", pool6: pool6})
		pairs = append(pairs, placed{pair{name: name, instance: name, group: group6, port: uint16(groupPort + i), link: syncLink}, ns})
	}
	return pairs
}

// superviseMany runs one supervisor for all.
func superviseMany(t *testing.T, name string, pairs []placed) Many {
	dir := t.TempDir()
	for _, p := range pairs {
		p.pair.namespace = p.in.name
		p.write(t, dir)
	}
	begin := time.Now()
	p := start(t, nil, joolctl, "up", dir, "--socket", filepath.Join(t.TempDir(), "control.sock"))
	eventually(t, startsWithin, "all pairs run", func() string {
		p.running(t)
		if n := strings.Count(p.log.String(), "worker is running"); n < len(pairs) {
			return fmt.Sprintf("%d run", n)
		}
		return ""
	})
	m := Many{Case: name, Pairs: len(pairs), Started: time.Since(begin)}
	m.measure(t, p)
	p.stop(t)
	started, resident := 3*time.Second, int64(16e6)
	if len(pairs) > 40 {
		started, resident = 10*time.Second, 64e6
	}
	if m.Started > started || m.Resident > resident {
		t.Errorf("%s: all run after %v, %d bytes resident; want %v and %d at most", name, m.Started, m.Resident, started, resident)
	}
	return m
}

// joolds runs Jool's own for each.
func joolds(t *testing.T, name string, pairs []placed) Many {
	var all []*process
	dir := t.TempDir()
	begin := time.Now()
	for _, p := range pairs {
		netsocket, modsocket := p.write(t, dir)
		all = append(all, start(t, p.in, cJoold, netsocket, modsocket))
	}
	for i, p := range pairs {
		p.in.awaitListening(t, p.group, p.port, all[i])
	}
	m := Many{Case: name, Pairs: len(pairs), Started: time.Since(begin)}
	m.measure(t, all...)
	for _, p := range all {
		p.kill()
	}
	return m
}

// measure measures the memory of running processes, and their processor time without traffic.
func (m *Many) measure(t *testing.T, all ...*process) {
	t.Helper()
	<-time.After(memoryAfter)
	idle := func() (sum time.Duration) {
		for _, p := range all {
			sum += p.cpuTime(t)
		}
		return sum
	}
	before := idle()
	<-time.After(IdlePeriod)
	m.Idle = idle() - before
	for _, p := range all {
		p.running(t)
		m.Resident += procKB(t, p, "status", "VmRSS")
		m.Peak += procKB(t, p, "status", "VmHWM")
		// The machine's files are in memory, so that the kernel calls them so.
		m.Shared += procKB(t, p, "status", "RssFile") + procKB(t, p, "status", "RssShmem")
	}
}

// procKB reads a size from a file of the program's /proc, in bytes.
func procKB(t *testing.T, p *process, file, key string) int64 {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, file))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == key+":" {
			n, err := strconv.ParseInt(f[1], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n << 10
		}
	}
	t.Fatalf("%s of %s has no %s", file, p.name, key)
	return 0
}
