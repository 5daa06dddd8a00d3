package worker

import (
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
)

// noMemory is the module's error for a JOOLD_ADD if the kernel had no memory for some of the sessions.
var noMemory = &joolnl.Error{Code: unix.EINVAL, Text: "sessiondb_add() threw unknown error code -12."}

// TestNoMemory makes a standby's module refuse live sessions for lack of memory. The standby is incomplete until a full sync has
// brought them.
func TestNoMemory(t *testing.T) {
	v, active, standby := inStep(t)
	standby.Module.NoMemory = 1
	active.report(sessionsAt(1000, 3)...)
	v.until("the standby is incomplete", func() bool { return len(standby.Sync().Lacking) > 0 })
	standby.Module.NoMemory = 0
	v.until("the standby has all sessions and is complete", func() bool {
		s := standby.Sync()
		return standby.Module.Len() == 103 && s.complete()
	})
}

// TestRefused makes the module refuse a JOOLD_ADD with different errors. The host stops trusting its vector only if a full sync can
// help.
func TestRefused(t *testing.T) {
	newTestbed(t, 2).standby(0).step(func(d *stepped) {
		for _, c := range []struct {
			name   string
			err    error
			doubts bool
		}{
			{"no memory", noMemory, true},
			{"among other errors", &joolnl.Error{Code: unix.EINVAL, Text: "Invalid something.\n" + noMemory.Text}, true},
			{"no memory for the error's text either", &joolnl.Error{Code: unix.EINVAL, Text: unix.EINVAL.Error()}, true},
			{"netlink has no memory", &joolnl.Error{Code: unix.ENOMEM}, true},
			{"no instance: it is removed, and added again", &joolnl.Error{Code: unix.ESRCH, Text: "This namespace lacks an instance named 'nat'."}, true},
			{"an invalid entry", &joolnl.Error{Code: unix.EINVAL, Text: "Invalid protocol."}, false},
			{"an error that would recur", &joolnl.Error{Code: unix.EINVAL, Text: "sessiondb_add() threw unknown error code -22."}, false},
		} {
			before := d.host.Knowledge.Doubts()
			d.sent.put(7, 40)
			d.kernelError(7, c.err)
			if doubts := d.host.Knowledge.Doubts() != before; doubts != c.doubts {
				t.Errorf("%s: the host doubts its table: %v", c.name, doubts)
			}
		}
	})
}

// TestErrorsLost makes netlink lose error replies: the host no longer trusts its vector.
func TestErrorsLost(t *testing.T) {
	newTestbed(t, 2).standby(0).step(func(d *stepped) {
		d.sent.put(7, 40)
		before := d.host.Knowledge.Doubts()
		if d.kernelError(0, unix.ENOBUFS); d.host.Knowledge.Doubts() != before+1 {
			t.Error("the host still relies on what it stored")
		}
	})
}

// failing is a module that takes no JOOLD_ADD.
type failing struct {
	module
	err error
}

func (f failing) SendAdds(*packetio.Gather) error { return f.err }

// TestAddsUnsent makes sending JOOLD_ADDs fail: whatever the error is, the host no longer trusts its vector.
func TestAddsUnsent(t *testing.T) {
	newTestbed(t, 2).standby(0).step(func(d *stepped) {
		real := d.module
		for _, err := range []error{unix.ENOBUFS, unix.EPERM, unix.EINTR} {
			before := d.host.Knowledge.Doubts()
			d.module = failing{real, err}
			d.w.counters.injected.Add(1)
			d.add(entries(t, jool4115, 1, 1))
			d.toKernel()
			if d.module = real; d.host.Knowledge.Doubts() != before+1 {
				t.Errorf("%v: the host still relies on what it stored", err)
			}
		}
	})
}
