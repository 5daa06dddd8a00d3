package guest

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"
)

// fault is a fault of a site and its repair.
type fault struct {
	name string
	// breaks removes or disturbs a part of the site; repairs restores it. The part is back when repairs returns.
	breaks, repairs func(t testing.TB, s *site)
	// ends cleans up after all measurements; nil: no cleanup is needed.
	ends func(t testing.TB, s *site)
	// short and full are how long the fault lasts, in the two forms of TestChaos.
	short, full time.Duration
	// everyone: the fault concerns all sites of its host. machine: it also concerns the other host. nobody: no worker
	// may be restarted, not even the site's own.
	everyone, machine, nobody bool
	onK                       bool // the fault concerns K or K's host, not J
	either                    bool // J may be a standby, too
	host                      bool // the fault concerns a host, through one of its pairs, or needs the host's program
	polled                    bool // only polling detects the repair
	ipv4                      bool // needs an IPv4 group
	onlyOurs                  bool // C joold does not have the feature

	// patience is the factor by which the time limits of new and old sessions are longer than usual; 0: 1.
	patience time.Duration
	// overruns: the burst must have overrun J's netlink socket.
	overruns bool
}

// faults returns the faults that leave the module loaded.
func faults(sizes burstSizes) []fault {
	var all []fault
	for _, group := range []struct {
		faults []fault
		host   bool
	}{
		{linkFaults(), false}, {instanceFaults(), false}, {[]fault{panicFault()}, true}, {processFaults(), true}, {burstFaults(sizes), true},
		{directoryFaults(), true}, {clockFaults(), false},
	} {
		for _, f := range group.faults {
			f.host = group.host
			all = append(all, f)
		}
	}
	return all
}

func linkFaults() []fault {
	return []fault{
		{
			name: "interface deleted and recreated", short: time.Second, full: 5 * time.Second, either: true,
			breaks:  func(t testing.TB, s *site) { s.j.ip(t, "link del "+syncLink) },
			repairs: func(t testing.TB, s *site) { s.linkSync(t) },
		},
		{
			name: "interface down and up", short: time.Second, full: 5 * time.Second, either: true,
			breaks: func(t testing.TB, s *site) { s.j.ip(t, "link set "+syncLink+" down") },
			repairs: func(t testing.TB, s *site) {
				s.j.ip(t, "link set "+syncLink+" up")
				s.awaitCarriers(t)
			},
		},
		{
			name: "sync address removed and added (IPv4 group)", short: time.Second, full: 5 * time.Second, ipv4: true, either: true,
			breaks:  func(t testing.TB, s *site) { s.j.ip(t, "address del "+s.pairJ.link+"/24 dev "+syncLink) },
			repairs: func(t testing.TB, s *site) { s.j.ip(t, "address add "+s.pairJ.link+"/24 dev "+syncLink) },
		},
		{
			name: "network partition, healed", short: 5 * time.Second, full: time.Minute, nobody: true, either: true,
			breaks:  func(t testing.TB, s *site) { s.netem(t, "loss", "100%") },
			repairs: func(t testing.TB, s *site) { s.netem(t) },
		},
		{
			name: "10 % loss with duplicates and reordering", short: 2 * time.Second, full: 30 * time.Second, nobody: true, either: true,
			breaks: func(t testing.TB, s *site) {
				s.netem(t, "delay", "5ms", "loss", "10%", "duplicate", "5%", "reorder", "75%", "50%")
			},
			repairs: func(t testing.TB, s *site) { s.netem(t) },
		},
	}
}

func instanceFaults() []fault {
	update := func(t testing.TB, s *site, enabled string) {
		s.j.exec(t, "jool", "-i", "nat", "global", "update", "ss-enabled", enabled)
	}
	return []fault{
		{
			name: "standby's instance removed and added", short: time.Second, full: 5 * time.Second, onK: true, polled: true,
			breaks:  func(t testing.TB, s *site) { s.k.exec(t, "jool", "instance", "remove", "nat") },
			repairs: func(t testing.TB, s *site) { newInstance(t, s.k) },
		},
		{
			name: "synchronisation disabled and enabled (ss-enabled)", short: 6 * time.Second, full: 10 * time.Second, either: true, polled: true,
			breaks:  func(t testing.TB, s *site) { update(t, s, "false") },
			repairs: func(t testing.TB, s *site) { update(t, s, "true") },
		},
		{
			name: "standby's namespace deleted and recreated", short: time.Second, full: 5 * time.Second, onK: true,
			breaks: func(t testing.TB, s *site) {
				// Before the namespace is deleted, because a process in it would keep the links.
				for _, link := range []string{"e6", "e4", syncLink} {
					if s.k.hasLink(t, link) { // a recreated one has only the last link
						s.k.ip(t, "link del "+link)
					}
				}
				s.k.thread.Release()
				ip(t, "netns del "+s.k.name)
			},
			repairs: func(t testing.TB, s *site) {
				*s.k = *newNamespace(t, s.k.name)
				s.k.ip(t, "link set lo up")
				keepAddresses(t, s.k, "all", "default")
				s.linkSync(t)
				newInstance(t, s.k)
			},
		},
	}
}

func processFaults() []fault {
	return []fault{
		{
			name: "active side: kill -9 and start", short: time.Second, full: 5 * time.Second, everyone: true,
			breaks:  func(t testing.TB, s *site) { s.hostJ.end(syscall.SIGKILL) },
			repairs: func(t testing.TB, s *site) { s.hostJ.start() },
		},
		{
			name: "active side: SIGTERM and start", short: time.Second, full: 5 * time.Second, everyone: true,
			breaks:  func(t testing.TB, s *site) { s.hostJ.end(syscall.SIGTERM) },
			repairs: func(t testing.TB, s *site) { s.hostJ.start() },
		},
		{
			name: "standby host dies and returns, its table empty", short: time.Second, full: 10 * time.Second, everyone: true, onK: true,
			breaks: func(t testing.TB, s *site) {
				s.hostK.end(syscall.SIGKILL)
				s.k.exec(t, "jool", "instance", "remove", "nat")
			},
			repairs: func(t testing.TB, s *site) {
				newInstance(t, s.k)
				s.hostK.start()
			},
		},
		{
			name: "active side: started while nobody takes what it logs (disk full)", short: time.Second, full: 5 * time.Second, everyone: true,
			breaks: func(t testing.TB, s *site) { s.hostJ.end(syscall.SIGTERM) },
			repairs: func(t testing.TB, s *site) {
				s.hostJ.mute = fullPipe(t)
				s.hostJ.start()
			},
			ends: func(t testing.TB, s *site) {
				s.hostJ.end(syscall.SIGTERM)
				s.hostJ.mute = nil
				s.hostJ.start()
			},
		},
		{
			name: "active side: SIGSTOP, SIGCONT", short: 3 * time.Second, full: 10 * time.Second, nobody: true,
			breaks:  func(t testing.TB, s *site) { s.hostJ.signal(syscall.SIGSTOP) },
			repairs: func(t testing.TB, s *site) { s.hostJ.signal(syscall.SIGCONT) },
		},
	}
}

// fullPipe returns the writing end of a full pipe that nobody reads.
func fullPipe(t testing.TB) *os.File {
	t.Helper()
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(ends[0]) })
	if err := syscall.SetNonblock(ends[1], true); err != nil {
		t.Fatal(err)
	}
	for room := make([]byte, 4096); ; {
		_, err := syscall.Write(ends[1], room)
		if errors.Is(err, syscall.EAGAIN) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.SetNonblock(ends[1], false); err != nil { // as a program finds it
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(ends[1]), "full pipe")
	t.Cleanup(func() { f.Close() })
	return f
}

func clockFaults() []fault {
	step := func(t testing.TB, by time.Duration) {
		now := syscall.NsecToTimeval(time.Now().Add(by).UnixNano())
		if err := syscall.Settimeofday(&now); err != nil {
			t.Fatalf("setting the clock: %v", err)
		}
	}
	return []fault{
		{
			name: "clock set back an hour, and forward", short: 2 * time.Second, full: 10 * time.Second, nobody: true,
			breaks:  func(t testing.TB, s *site) { step(t, -time.Hour) },
			repairs: func(t testing.TB, s *site) { step(t, time.Hour) },
		},
		{
			name: "clock set forward an hour, and back", short: 2 * time.Second, full: 10 * time.Second, nobody: true,
			breaks:  func(t testing.TB, s *site) { step(t, time.Hour) },
			repairs: func(t testing.TB, s *site) { step(t, -time.Hour) },
		},
	}
}
