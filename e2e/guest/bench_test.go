package guest

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

const (
	benchSources = 40
	benchPorts   = 1000
	benchRounds  = 3
)

// TestBench measures C joold and ours in turn, and leaves the measurements in /out.
func TestBench(t *testing.T) {
	enter(t, "bench")
	var all []Measurement
	for round := range benchRounds {
		kinds := []daemon{upstream, oneJoold}
		if round%2 == 1 {
			kinds[0], kinds[1] = kinds[1], kinds[0]
		}
		for _, kind := range kinds {
			t.Run(fmt.Sprintf("%d/%s", round, kind), func(t *testing.T) {
				m := measure(t, newTopology(t), kind, benchSources)
				t.Logf("%+v", m)
				all = append(all, m)
			})
		}
	}
	b, err := json.Marshal(all)
	if err == nil {
		err = os.WriteFile("/out/measurements.json", b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// measure has benchPorts sessions of each of some sources go from J to K.
func measure(t *testing.T, top *topology, kind daemon, sources int) Measurement {
	t.Helper()
	pairJ, pairK := top.pairs(group6)
	k := startWorker(t, kind, top.k, pairK)
	j := startWorker(t, kind, top.j, pairJ)
	top.flood(t, portRange(9999, 1), 1) // finds the neighbours
	eventually(t, syncedWithin, "the first session is there", func() string {
		if n := top.k.stats(t, "nat")["JSTAT_SESSIONS"]; n != 1 {
			return fmt.Sprintf("K has %d", n)
		}
		return ""
	})
	for _, w := range []worker{j, k} {
		w.awaitComplete(t)
	}
	sendCPU, recvCPU := j.cpuTime(t), k.cpuTime(t)
	top.flood(t, portRange(10000, sources), benchPorts)
	m := Measurement{Daemon: string(kind)}
	eventually(t, time.Minute, "J's kernel is done and K too", func() string {
		inJ := top.j.stats(t, "nat")
		m.Opened, m.Sent, m.Dropped = inJ["JSTAT_SESSIONS"], inJ["JSTAT_JOOLD_SSS_SENT"], inJ["JSTAT_JOOLD_SSS_ENOSPC"]
		last := m.Stored
		m.Stored = top.k.stats(t, "nat")["JSTAT_SESSIONS"]
		// Every session was reported once, so what K lacks of those sent is lost.
		if m.Sent+m.Dropped < m.Opened || m.Stored != last {
			return fmt.Sprintf("%+v", m)
		}
		return ""
	})
	m.SendCPU, m.RecvCPU = j.cpuTime(t)-sendCPU, k.cpuTime(t)-recvCPU
	return m
}
