package guest

import (
	"errors"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/session"
)

// moduleListener hears what an instance's module reports, beside the instance's worker. It acknowledges nothing.
type moduleListener struct {
	conn     *joolnl.Conn
	receiver *packetio.Receiver
	heard    map[session.Key]bool
}

// listenToModule opens a listener for an instance until the test's end.
func (n *namespace) listenToModule(t testing.TB, instance string) *moduleListener {
	t.Helper()
	e := &moduleListener{receiver: packetio.NewReceiver(16, 1<<16), heard: make(map[session.Key]bool)}
	n.do(t, func() (err error) {
		e.conn, err = joolnl.Dial(instance, 8<<20)
		return err
	})
	t.Cleanup(e.conn.Close)
	return e
}

// reported returns the sessions that the module has reported so far.
func (e *moduleListener) reported(t testing.TB) map[session.Key]bool {
	t.Helper()
	format := e.conn.Version.Format()
	for {
		n, err := e.conn.Receive(e.receiver)
		if errors.Is(err, unix.EAGAIN) {
			return e.heard
		}
		if err != nil {
			t.Fatalf("what the module reports: %v", err)
		}
		for i := range n {
			entries, _, err := e.conn.Multicast(e.receiver.Datagram(i).Data)
			if err != nil {
				t.Fatalf("what the module reports: %v", err)
			}
			for ; len(entries) > 0; entries = entries[format.EntryLen():] {
				r := format.Record(entries)
				e.heard[r.Key()] = true
			}
		}
	}
}

// lacks describes how many of the sessions that the module has reported an instance of the namespace lacks, "" if none.
func (n *namespace) lacks(t testing.TB, e *moduleListener, instance string) string {
	t.Helper()
	reported, missing := e.reported(t), 0
	has := make(map[session.Key]bool)
	for _, s := range n.sessions(t, instance) {
		r := s.Record()
		has[r.Key()] = true
	}
	for key := range reported {
		if !has[key] {
			missing++
		}
	}
	if missing == 0 {
		return ""
	}
	return fmt.Sprintf("%s lacks %d of %d sessions that were reported", n.name, missing, len(reported))
}
