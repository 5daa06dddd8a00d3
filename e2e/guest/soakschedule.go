package guest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

const (
	soakHosts     = 3
	soakInstances = 5 // of each host

	// soakSettles is how long an instance or a host is left alone after a fault, or until the fault's end.
	soakSettles = 4 * time.Second
	// soakLongest is how long a fault lasts at most.
	soakLongest = 15 * time.Second
)

// soakFault is one fault of a soak: of which instance, and which hosts' NAT64s stand for J and K.
type soakFault struct {
	fault
	instance, hostJ, hostK int
	at, away               time.Duration
}

// activeHost is the host that has an instance's traffic.
func activeHost(instance int) int { return instance % soakHosts }

// victim is the host that a fault befalls.
func (f soakFault) victim() int {
	if f.onK {
		return f.hostK
	}
	return f.hostJ
}

// locks returns the resources that two faults must not use at the same time.
func (f soakFault) locks() []string {
	locks := []string{fmt.Sprint("instance ", f.instance)}
	if f.host {
		locks = append(locks, fmt.Sprint("host ", f.victim()))
	}
	if strings.Contains(f.name, "clock") {
		locks = append(locks, "clock")
	}
	return locks
}

// concerns says whether a fault may have a host's worker of an instance started again.
func (f soakFault) concerns(host, instance int) bool {
	switch {
	case f.nobody || host != f.victim():
		return false
	case f.everyone:
		return true
	}
	return instance == f.instance
}

func (f soakFault) String() string {
	return fmt.Sprintf("%s: instance %d, host %d, for %v", f.name, f.instance, f.victim(), f.away.Round(time.Millisecond))
}

// soakRounds returns faults for that many minutes, without the time between rounds: first by round, then by time. They
// depend on the arguments only. The supervisor of host 0 is never stopped, so that a leak in it becomes visible.
func soakRounds(seed uint64, minutes int, kinds []fault) [][]soakFault {
	r := rand.New(rand.NewPCG(seed, 0))
	rounds := make([][]soakFault, (minutes+1)/2)
	length := time.Duration(minutes) * time.Minute / time.Duration(len(rounds))
	for i := range rounds {
		rounds[i] = soakRound(r, length, kinds)
	}
	return rounds
}

func soakRound(r *rand.Rand, length time.Duration, kinds []fault) (faults []soakFault) {
	free := make(map[string]time.Duration)
	upTo := func(most time.Duration) time.Duration { return time.Duration(r.Int64N(int64(most) + 1)) }
	for at := upTo(2 * time.Second); at < length; at += 500*time.Millisecond + upTo(2*time.Second) {
		f := soakFault{fault: kinds[r.IntN(len(kinds))], instance: r.IntN(soakInstances), at: at}
		if f.ipv4 {
			f.instance = 0
		}
		f.hostJ = activeHost(f.instance)
		if f.either {
			f.hostJ = r.IntN(soakHosts)
		}
		f.hostK = (f.hostJ + 1 + r.IntN(soakHosts-1)) % soakHosts
		f.away = f.short + upTo(max(0, min(f.full, soakLongest)-f.short))
		taken := slices.ContainsFunc(f.locks(), func(lock string) bool { return free[lock] > at })
		spared := f.host && f.everyone && f.victim() == 0
		if taken || spared || at+f.away > length {
			continue
		}
		for _, lock := range f.locks() {
			free[lock] = at + f.away + 2*soakSettles
		}
		faults = append(faults, f)
	}
	return faults
}

// soakFaults are the kinds of faults of a soak: of those that leave the module loaded, since the three hosts share one,
// all but the overrun, which keeps everything waiting until it comes about.
func soakFaults() []fault {
	all := faults(burstSizes{3000, 1500})
	return slices.DeleteFunc(all, func(f fault) bool { return f.overruns })
}
