package doctor

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/supervisor"
	"joolctl/worker"
)

func checkFiles(_ context.Context, s *subject) []Finding {
	if len(s.pair.Problems) == 0 {
		return ok(s.pair.Netsocket + " and " + s.pair.Modsocket + " are good")
	}
	var all []Finding
	for _, problem := range s.pair.Problems {
		observed, remedy, _ := strings.Cut(problem.Error(), "; ")
		if problem.Warning {
			all = append(all, warn(observed, remedy)...)
		} else {
			all = append(all, fail(observed, remedy)...)
		}
	}
	return all
}

func checkInstance(_ context.Context, s *subject) []Finding {
	err := worker.Probe(s.spec, worker.Env{Threads: s.threads})
	var missing *worker.Missing
	switch {
	case errors.As(err, &missing) && missing.Fix != "":
		return fail(missing.What, "type: "+missing.Fix)
	case err != nil:
		return fail(err.Error(), "")
	}
	return ok(s.place() + " exists, and synchronises (ss-enabled)")
}

// place names the instance and its namespace.
func (s *subject) place() string {
	if s.spec.Namespace == "" {
		return fmt.Sprintf("instance %q", s.spec.Instance)
	}
	return fmt.Sprintf("instance %q in namespace %q", s.spec.Instance, s.spec.Namespace)
}

// globals asks the module for the settings of the instance.
func (s *subject) globals() (g joolnl.Globals, err error) {
	thread, err := s.threads.Get(s.spec.Namespace)
	if err != nil {
		return g, err
	}
	defer thread.Release()
	doErr := thread.Do(func() {
		var c *joolnl.Conn
		if c, err = joolnl.Dial(s.spec.Instance, 64<<10); err == nil {
			g, err = c.AskGlobals()
			c.Close()
		}
	})
	return g, errors.Join(err, doErr)
}

// shortExposure is the longest exposure that checkSettings does not warn of.
const shortExposure = 100 * time.Millisecond

func checkSettings(_ context.Context, s *subject) []Finding {
	if s.row != nil && s.row.Exposure != nil {
		e := s.row.Exposure
		longest := time.Duration(e.AtMostSeconds * float64(time.Second))
		observed := fmt.Sprintf("a new session is on this host only for %v at most", longest.Round(time.Millisecond))
		if longest > shortExposure {
			return warn(observed, e.Remedy)
		}
		return ok(observed)
	}
	g, err := s.globals()
	if err != nil {
		return nil // checkInstance says why
	}
	observed := fmt.Sprintf("ss-flush-deadline is %v, ss-capacity %d", g.SSFlushDeadline, g.SSCapacity)
	if g.SSFlushDeadline > shortExposure && !s.spec.TuneSS {
		return warn(observed+", so new sessions are on this host only for up to 2 s longer than that", `write "tune ss": true in `+s.pair.Modsocket)
	}
	return ok(observed)
}

// datagramHead is the length of the heads of IPv6 and UDP; of IPv4's, it is more than enough.
const datagramHead = 40 + 8

func checkPacketSize(_ context.Context, s *subject) []Finding {
	g, err := s.globals()
	if err != nil {
		return nil // checkInstance says why
	}
	out, err := s.outInterface()
	if err != nil || out == nil {
		return nil // checkInterfaces says why
	}
	packet := int(g.SSMaxPayload) + datagramHead
	observed := fmt.Sprintf("the module's packets of ss-max-payload %d have up to %d bytes, the MTU of %s is %d", g.SSMaxPayload, packet, out.Name, out.MTU)
	if packet > out.MTU {
		return warn(observed+": larger ones are sent in fragments", fmt.Sprintf("type: jool -i %s global update ss-max-payload %d", s.spec.Instance, out.MTU-datagramHead))
	}
	return ok(observed)
}

// oldKey is the age of a key file at which checkKeys recommends another key.
const oldKey = 365 * 24 * time.Hour

func checkKeys(_ context.Context, s *subject) []Finding {
	if s.spec.KeyFile == "" {
		return warn("the datagrams are clear: any host on the link can insert sessions", "use a link of its own, or a key (joolctl genkey)")
	}
	info, err := os.Stat(s.spec.KeyFile)
	if err != nil {
		return fail(err.Error(), "")
	}
	age := time.Since(info.ModTime())
	observed := fmt.Sprintf("%s has %s, was changed %s ago, and \"security\" is %q", s.spec.KeyFile, count(s.spec.Keys.Len(), "key"), count(int(age/(24*time.Hour)), "day"), s.spec.Security)
	switch {
	case age > oldKey:
		return warn(observed, "add another key: joolctl genkey 2 >> "+s.spec.KeyFile)
	case s.spec.Security.String() != "require":
		return warn(observed+": clear datagrams are taken, too", `write "security": "require" once all hosts seal`)
	}
	return ok(observed)
}

func checkWorker(_ context.Context, s *subject) []Finding {
	switch {
	case s.status == nil:
		return nil // checkSupervisor has said so
	case s.row == nil:
		return warn("the supervisor has no worker for this pair", "type: joolctl reload")
	case s.row.State == supervisor.Failed:
		return fail("the worker has failed: "+s.row.Reason, "")
	case s.row.State != supervisor.Running:
		return fail(fmt.Sprintf("the worker is %s: %s", s.row.State, s.row.Reason), "")
	case s.row.LostSessions > 0:
		return warn(fmt.Sprintf("the worker runs; %d sessions were lost, and may have come by a full sync since", s.row.LostSessions), "see `joolctl status -o wide "+s.pair.Name+"`")
	}
	return ok("the worker runs since " + s.row.Since.Format(time.RFC3339))
}

func checkPeers(_ context.Context, s *subject) []Finding {
	if s.row == nil || s.row.State != supervisor.Running {
		return nil // checkWorker has said so
	}
	var all []Finding
	for _, peer := range s.row.Peers {
		age := time.Duration(peer.LastHeardSeconds * float64(time.Second)).Round(time.Second)
		switch {
		case peer.Live:
			all = append(all, ok(fmt.Sprintf("%s was heard %v ago", peer.Address, age))...)
		default:
			all = append(all, warn(fmt.Sprintf("%s was heard %v ago, and is not live", peer.Address, age), "if it should be: look at joolctl status on that host")...)
		}
	}
	for _, list := range [][]replication.Reason{s.row.Reasons, s.row.Warnings} {
		for _, r := range list {
			all = append(all, warn(r.Text, r.Remedy)...)
		}
	}
	if len(s.row.Peers) == 0 {
		all = append(all, warn("no peer was heard", "start joolctl on another host, with the same group, port and key")...)
	}
	return all
}
