package top

import (
	"errors"
	"math"
	"time"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/eventlog"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

// begin is when the sample begins.
var begin = time.Date(2026, 3, 1, 11, 56, 0, 0, time.UTC)

// seconds is how long the sample is.
const seconds = 240

// snapshot is the status of three healthy pairs, of one whose peer lags, of one that receives a full sync and of one without an
// instance, some seconds after its begin.
func snapshot(second int) supervisor.Status {
	s := supervisor.Status{Directory: "/etc/joold.d", Workers: []supervisor.Row{
		running("blue", second, wave{}, wave{300, 250}),
		running("green", second, wave{800, 780}, wave{}),
		running("red", second, wave{12, 0}, wave{40, 30}),
		running("violet", second, wave{90, 90}, wave{}),
		running("white", second, wave{}, wave{}),
		{
			Name: "yellow", Namespace: "customer-yellow", Instance: "nat", State: supervisor.Waiting,
			ConfiguredPeers: []supervisor.ConfiguredPeer{{Address: "[2001:db8::2]:6469", Heard: true}, {Address: "[2001:db8::3]:6469"}},
			Since:           begin.Add(-time.Hour), Synced: "no",
			Reason:  `instance "nat" does not exist in namespace "customer-yellow"; type: ip netns exec customer-yellow jool instance add nat --netfilter --pool6 64:ff9b::/96`,
			Reasons: []replication.Reason{{Code: replication.NotRunning, Text: "the worker does not run"}},
		},
	}}
	red, violet := &s.Workers[2], &s.Workers[3]
	red.Lag = &supervisor.Lag{Sessions: 35, Seconds: 1.214}
	red.Peers[0].Lag = red.Lag
	red.Warnings = []replication.Reason{{Code: replication.Lags, Peer: "2001:db8::2", Sessions: 35,
		Text: "peer 2001:db8::2 had not stored 35 sessions at its last HELLO, the oldest of them for 1.214s"}}
	violet.Synced, violet.Sessions = "no", new(uint64(25200))
	violet.FullSync = &supervisor.FullSyncProgress{Phase: "receiving", Cause: "the tables were never compared", DoneSessions: 25200, TotalSessions: 40000,
		Ends: begin.Add(seconds*time.Second + 9*time.Second), Incomplete: true}
	violet.Reasons = []replication.Reason{{Code: replication.NeverCompared, Peer: "2001:db8::2", Since: begin.Add(3 * time.Minute),
		Text: "peer 2001:db8::2: the tables were never compared"}}
	violet.Peers = append(violet.Peers, supervisor.Peer{Address: "2001:db8::3", LastHeardSeconds: 75, Lost: new(uint64(0)), Repaired: new(uint64(0))})
	violet.LostSessions = 51
	return s
}

// running is a pair that has done its first full sync, with rates of sessions in and out.
func running(name string, second int, in, out wave) supervisor.Row {
	return supervisor.Row{
		Name: name, Namespace: "customer-" + name, Instance: "nat", Group: "[ff08::db8:64:64]:6464", State: supervisor.Running,
		Since: begin.Add(-26 * time.Hour), Synced: "yes", Sessions: new(uint64(39990)), BestPeerSessions: new(uint64(40000)),
		Lag: &supervisor.Lag{}, Rates: &supervisor.Rates{WindowSeconds: 12.5, In: in.rate(second), Out: out.rate(second)},
		Ledger: worker.Ledger{
			Reported: uint64(200 * second), Sent: out.total(second), Given: in.total(second), Received: 40000, Injected: 990, Retransmitted: 36,
		},
		LastFullSync: &supervisor.FullSync{From: "2001:db8::2", Cause: "start", At: begin.Add(-26 * time.Hour), Received: 40000, Own: 39000, Injected: 990,
			Collided: 10, Seconds: 1.234567},
		Exposure: &supervisor.Exposure{AtMostSeconds: 0.004},
		Kernel:   map[string]uint64{"JSTAT_JOOLD_PKT_RCVD": 9},
		Peers: []supervisor.Peer{{Address: "2001:db8::2", LastHeardSeconds: 0.25, Live: true, Software: "joolctl", Version: "4.1.15", Synced: "yes",
			Sessions: new(uint64(40000)), Lag: &supervisor.Lag{}, Lost: new(uint64(2)), Repaired: new(uint64(3))}},
	}
}

// wave is a rate that goes up and down.
type wave struct{ mean, amplitude float64 }

func (w wave) rate(second int) float64 {
	return math.Round(w.mean + w.amplitude*math.Sin(float64(second)/20))
}

// total is the sum of the rates since the begin.
func (w wave) total(second int) uint64 {
	return uint64(w.mean*float64(second) + w.amplitude*20*(1-math.Cos(float64(second)/20)))
}

var errGone = errors.New("no supervisor answers on /run/joolctl/joolctl.sock: connection refused")

// sampled is a model that has seen the whole sample, on a screen of some size.
func sampled(width, height int) model {
	order, _ := table.OrderOf("severity")
	m := newModel(Options{
		Interval: 2 * time.Second, Order: order,
		Explain: func(err error) string { return err.Error() + "; start one with `systemctl start joolctl`" },
	}, nil)
	m.width, m.height = width, height
	for second := 0; second <= seconds; second += 2 {
		a := answer{at: begin.Add(time.Duration(second) * time.Second), status: snapshot(second)}
		if second == 0 {
			a.events = sampleEvents
		}
		m = m.answered(a)
	}
	return m
}

// sampleEvents are those of the pair red.
var sampleEvents = []eventlog.Event{
	{Time: begin.Add(-26 * time.Hour), Pair: "red", Kind: eventlog.State, Severity: eventlog.Info, Text: "running"},
	{Time: begin.Add(-25 * time.Hour), Pair: "red", Kind: eventlog.Verdict, Severity: eventlog.Info, Text: "no → yes"},
	{Time: begin.Add(-90 * time.Second), Pair: "red", Kind: eventlog.Losses, Severity: eventlog.Warning, Text: "network lost datagrams +2"},
	{Time: begin.Add(-time.Minute), Pair: "blue", Kind: eventlog.Losses, Severity: eventlog.Warning, Text: "not of this pair"},
}
