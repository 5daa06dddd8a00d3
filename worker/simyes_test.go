package worker

import (
	"math/rand/v2"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/replication/sim"
	"joolctl/syncwire"
)

// TestSimulatedYes simulates two hosts, of which host 1 is the standby, and checks that no host says yes while it lacks sessions.
func TestSimulatedYes(t *testing.T) {
	for _, c := range []struct {
		name, version string
		config        func(*sim.Config)
	}{
		{"a host advertises a table that takes seconds to read, as one with millions of sessions does", "4.1.15", func(c *sim.Config) {
			c.Faults = []sim.Fault{{Kind: sim.Advertise, At: 40 * time.Second, For: 20 * time.Second, Host: 0, Amount: 1500}}
		}},
		{"a forged host says HELLO and BEGIN again and again, and sends no BULK", "4.1.15", func(c *sim.Config) {
			settings := syncwire.Settings{TTLs: [4]uint32{7200000, 240000, 300000, 60000}}
			c.Forger = func(r *rand.Rand, _ [][]byte) []byte {
				var body syncwire.Body = &syncwire.Hello{Sync: syncwire.SyncYes, NextIn: 10, Settings: settings}
				if r.IntN(2) == 0 {
					body = &syncwire.Begin{FullSync: 5, Why: syncwire.WhyAdvertise, Sessions: 1000, Settings: settings}
				}
				return syncwire.Message{Sender: 0xbad, Body: body}.Append(nil)
			}
			c.Faults = []sim.Fault{{Kind: sim.Forge, At: 20 * time.Second, For: 60 * time.Second, Host: 1}}
		}},
		{"the standby's instance is removed and added at once", "4.1.15", recreated},
		{"the standby's instance is removed and added at once, without counters that show it", "4.1.9", recreated},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := joolnl.ParseVersion(c.version)
			if err != nil {
				t.Fatal(err)
			}
			memory := simScratches.Get().(*scratch)
			defer simScratches.Put(memory)
			config := sim.DefaultConfig(1, 2, sim.DefaultModule(v), newSimulated(simSpec().VerifyPeriod, memory, nil))
			config.Tolerance = 2*simSpec().RefreshPeriod + time.Second
			c.config(&config)
			s := sim.New(config)
			m := s.Monitor(100*time.Millisecond, sim.DefaultBounds())
			s.Run(120 * time.Second)
			m.Settled()
			for _, v := range m.Violations {
				t.Error(v)
			}
		})
	}
}

// recreated has the instance of host 1 recreated between two polls, while next to no sessions flow.
func recreated(c *sim.Config) {
	c.Traffic.Interval = sim.Span{Min: 1000 * time.Second, Max: 1100 * time.Second}
	for i := range c.Traffic.Lanes {
		c.Traffic.Lanes[i].Rate = 0.001
	}
	c.Faults = []sim.Fault{{Kind: sim.Recreate, At: 61*time.Second + 300*time.Millisecond, Host: 1}}
}
