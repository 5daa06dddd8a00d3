package worker

import (
	"fmt"
	"strings"
	"time"

	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/joolnl"
	"joolctl/replication"
	"joolctl/session"
)

// The module's default settings, and what "tune ss" sets instead. docs/benchmarks.md has the measurements.
const (
	defaultDeadline = 2000 // ms
	tunedDeadline   = 4    // ms
	defaultCapacity = 512  // sessions
	tunedCapacity   = replication.TunedCapacity
)

// tuneEvery is the shortest time between two changes of the settings. Another program may reset them again and again, and each
// change stops the instance while the module walks its BIB.
const tuneEvery = time.Minute

// tuning returns the changes that "tune ss" makes: it changes settings that have the module's default values and that this
// version of the module uses.
func tuning(v joolnl.Version, g joolnl.Globals) (changes []joolnl.Change) {
	change := func(s joolnl.Setting, is bool, value uint32) {
		if is {
			changes = append(changes, joolnl.Change{Setting: s, Value: value})
		}
	}
	change(joolnl.SSFlushDeadline, g.SSFlushDeadline == defaultDeadline*time.Millisecond, tunedDeadline)
	change(joolnl.SSCapacity, g.SSCapacity == defaultCapacity && v.ChecksCapacity(), tunedCapacity)
	return changes
}

// valueOf returns the value of a setting.
func valueOf(g joolnl.Globals, s joolnl.Setting) uint32 {
	if s == joolnl.SSCapacity {
		return g.SSCapacity
	}
	return uint32(g.SSFlushDeadline.Milliseconds())
}

// takeGlobals stores the instance's settings for the worker. If the pair's configuration has "tune ss", it first changes them.
func (p *pumps) takeGlobals(g joolnl.Globals, now time.Time) {
	spec := p.w.spec()
	if spec.TuneSS {
		g = p.tune(g, now)
	} else {
		p.refused = ""
	}
	old, settings := p.host.Settings(), settingsOf(g, p.version)
	settings.Pool4, settings.Iterations = old.Pool4, old.Iterations
	p.host.SetSettings(settings)
	p.lifetimes = session.NewLifetimes(func(proto session.Proto, timer session.Timer) uint32 {
		return uint32(p.host.Settings().TTL(uint8(proto), uint8(timer)).Milliseconds())
	})
	p.acks = ackClockFor(p.version, g, p.jiffy)
	exposure := exposureOf(spec, p.acks, p.refused)
	p.w.mu.Lock()
	p.w.state.Exposure = exposure
	p.w.mu.Unlock()
}

// tune changes the settings that have default values, and returns the instance's present settings.
func (p *pumps) tune(g joolnl.Globals, now time.Time) joolnl.Globals {
	changes := tuning(p.version, g)
	if len(changes) == 0 {
		p.refused = ""
		return g
	}
	if !p.tuned.IsZero() && now.Sub(p.tuned) < tuneEvery {
		return g
	}
	p.tuned = now
	var after joolnl.Globals
	err := p.module.AskUpdate(changes...)
	if err == nil {
		after, err = p.module.AskGlobals()
	}
	if err != nil {
		p.refused = err.Error()
		p.w.log.warn(`"tune ss": the module refuses to change the settings`, "instance", p.w.spec().Instance, "error", err)
		p.w.event(eventlog.Event{Kind: eventlog.Settings, Severity: eventlog.Warning, Text: fmt.Sprintf("the module refuses the settings of \"tune ss\": %v", err)})
		return g
	}
	p.refused = ""
	for _, c := range changes {
		was, is := valueOf(g, c.Setting), valueOf(after, c.Setting)
		p.w.event(eventlog.Event{Kind: eventlog.Settings, Severity: eventlog.Info, Setting: c.Setting.String(), From: fmt.Sprint(was), To: fmt.Sprint(is),
			Text: fmt.Sprintf("%v: %d → %d", c.Setting, was, is)})
		p.w.log.to().Info("changed a setting of the instance", "setting", c.Setting, "old", was, "new", is)
	}
	return after
}

// Exposure is how long a new session exists only on this host, because its module has not reported it yet. If the host fails
// meanwhile, the session is lost.
type Exposure struct {
	// AtMost is the longest time that a session waits in the module after its first packet.
	AtMost time.Duration
	// Refused is the module's error for the changes of "tune ss"; "" if there is none.
	Refused string
	// Remedy says how to make the time shorter; "" if it is short.
	Remedy string
}

// exposureOf returns the longest time that a session waits in the module, and the command that makes it shorter.
func exposureOf(spec configdir.Spec, clock ackClock, refused string) Exposure {
	e := Exposure{AtMost: clock.flushAfter, Refused: refused}
	if e.AtMost <= wellTuned {
		return e
	}
	command := inside(spec.Namespace, fmt.Sprintf("jool -i %s global update ss-flush-deadline %d", spec.Instance, tunedDeadline))
	switch {
	case refused != "" && strings.Contains(refused, "pool4"):
		e.Remedy = "remove the sessions outside pool4, then type: " + command
	case spec.TuneSS:
		e.Remedy = "type: " + command
	default:
		e.Remedy = `write "tune ss": true in modsocket.json, or type: ` + command
	}
	return e
}

// wellTuned is the exposure with "tune ss" and the longest jiffy that Linux can be built with.
const wellTuned = 20 * time.Millisecond
