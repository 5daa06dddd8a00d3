package worker

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// noMemory is the module's error for a JOOLD_ADD if the kernel had no memory for some of the sessions.
var noMemory = &joolnl.Error{Code: unix.EINVAL, Text: "sessiondb_add() threw unknown error code -12."}

// TestNoMemory makes a standby's module refuse live sessions for lack of memory. The standby is incomplete until a full sync has
// brought them.
func TestNoMemory(t *testing.T) {
	t.Parallel()
	a, b := hosts(t)
	active, standby := newStandby(t, jool4115, a, sessionsAt(0, 100)...), newStandby(t, jool4115, b)
	active.start()
	standby.start()
	standby.synced()
	active.synced()
	standby.instance.Set(func(i *workertest.Instance) {
		i.Refuse = func(r workertest.Request) *joolnl.Error {
			if r.Op == joolnl.JooldAdd {
				return noMemory
			}
			return nil
		}
	})
	active.report(sessionsAt(1000, 3)...)
	eventually(t, "the standby is incomplete", func() bool { return len(standby.Sync().Lacking) > 0 })
	standby.instance.Set(func(i *workertest.Instance) { i.Refuse = nil })
	within(t, 3*patience, "the standby has all sessions and is complete", func() bool {
		s := standby.Sync()
		return standby.instance.Sessions.Len() == 103 && s.complete()
	})
}

// TestRefused has the module refuse a JOOLD_ADD each second. A resync is only asked for if it can help, and ever more
// rarely.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name        string
		err         error
		least, most int // resyncs in ten minutes
	}{
		{"no memory", noMemory, 5, 12},
		{"among other errors", &joolnl.Error{Code: unix.EINVAL, Text: "Invalid something.\n" + noMemory.Text}, 5, 12},
		{"no memory for the error's text either", &joolnl.Error{Code: unix.EINVAL, Text: unix.EINVAL.Error()}, 5, 12},
		{"netlink has no memory", &joolnl.Error{Code: unix.ENOMEM}, 5, 12},
		{"an entry that makes no sense", &joolnl.Error{Code: unix.EINVAL, Text: "Invalid protocol."}, 0, 0},
		{"an error that will come again", &joolnl.Error{Code: unix.EINVAL, Text: "sessiondb_add() threw unknown error code -22."}, 0, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			drive(t, jool4115, func(d *driven) {
				now := time.Now()
				s := &short{driven: d, now: now}
				s.from = d.peers.Heard(group6, 0x10f, now)
				s.from.Stream.Start(1)
				d.resync.finish(now)
				d.resync.period = 0
				d.knowledge.Merge(s.whole(), d.knowledge.Doubts(), now)
				incomplete := 0
				s.run(10*time.Minute, func() {
					d.sent.put(7, 40)
					d.kernelError(7, c.err)
					d.judge(s.now)
					if d.w.Sync().Synced == syncwire.SyncNo {
						incomplete++
					}
				})
				if n := len(s.asked); n < c.least || n > c.most {
					t.Errorf("asked %d times: %v", n, s.asked)
				}
				if c.least > 0 != (incomplete > 0) {
					t.Errorf("incomplete for %d s", incomplete)
				}
				d.resync.finish(time.Now())
			})
		})
	}
}

// TestErrorsLost makes netlink lose error replies: the host no longer trusts its vector.
func TestErrorsLost(t *testing.T) {
	drive(t, jool4115, func(d *driven) {
		d.sent.put(7, 40)
		before := d.knowledge.Doubts()
		if d.kernelError(0, unix.ENOBUFS); d.knowledge.Doubts() != before+1 {
			t.Error("the host still relies on what it stored")
		}
	})
}
