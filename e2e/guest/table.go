package guest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/session"
)

// onInstance calls fn with a connection to an instance's module.
func (n *namespace) onInstance(t testing.TB, instance string, fn func(*joolnl.Conn) error) {
	t.Helper()
	n.do(t, func() error {
		c, err := joolnl.Dial(instance, 1<<16)
		if err != nil {
			return err
		}
		defer c.Close()
		return fn(c)
	})
}

// sessions reads an instance's whole table.
func (n *namespace) sessions(t testing.TB, instance string) []session.Session {
	t.Helper()
	var all []session.Session
	n.onInstance(t, instance, func(c *joolnl.Conn) (err error) {
		all, err = appendSessions(nil, c)
		return err
	})
	return all
}

// appendSessions appends the whole table of a connection's instance.
func appendSessions(all []session.Session, c *joolnl.Conn) ([]session.Session, error) {
	for _, proto := range []session.Proto{session.TCP, session.UDP, session.ICMP} {
		var last *session.Session
		for more := true; more; {
			var err error
			before := len(all)
			if all, more, err = c.AskSessions(all, proto, last); err != nil {
				return all, err
			}
			if len(all) > before {
				last = &all[len(all)-1]
			}
		}
	}
	return all, nil
}

// stats reads an instance's counters.
func (n *namespace) stats(t testing.TB, instance string) (stats map[string]uint64) {
	t.Helper()
	n.onInstance(t, instance, func(c *joolnl.Conn) (err error) {
		s, err := c.AskStats()
		stats = s.Named()
		return err
	})
	return stats
}

// addSessions adds sessions to an instance by JOOLD_ADD. The module does not report such sessions.
func (n *namespace) addSessions(t testing.TB, instance string, sessions ...session.Session) {
	t.Helper()
	const perMessage = 8 // fits every format
	n.onInstance(t, instance, func(c *joolnl.Conn) error {
		var failed error
		c.OnError = func(_ uint32, err error) { failed = err }
		for chunk := range slices.Chunk(sessions, perMessage) {
			var entries []byte
			for _, s := range chunk {
				var err error
				if entries, err = c.Version.Format().Append(entries, s); err != nil {
					return err
				}
			}
			request, seq := c.AppendAdd(nil, len(entries))
			batch := packetio.NewGather(2)
			batch.Add(request)
			batch.Add(entries)
			if err := c.SendAdds(batch); err != nil {
				return fmt.Errorf("JOOLD_ADD %d: %w", seq, err)
			}
			c.ReadErrors()
		}
		return failed
	})
}

// expiresTolerance is the allowed difference of the times left. The tables are read one after the other, and a session
// that waits in the kernel for its batch to fill, for up to 4 s, is sent with its time left at the beginning.
const expiresTolerance = 6 * time.Second

// diff describes the differences between the tables of two instances. It returns "" if they differ only in the times
// left, within the tolerance.
func diff(j, k []session.Session) string {
	_, text := unlike(j, k)
	return text
}

// unlike returns the sessions of J that K lacks or has in another state, and the text of diff.
func unlike(j, k []session.Session) (ofJ []session.Session, text string) {
	type key struct {
		proto session.Proto
		pairs string
	}
	keyOf := func(s session.Session) key {
		return key{s.Proto, fmt.Sprint(s.Src6, s.Dst6, s.Src4, s.Dst4)}
	}
	inK := make(map[key]session.Session)
	for _, s := range k {
		inK[keyOf(s)] = s
	}
	var lines []string
	for _, a := range j {
		b, ok := inK[keyOf(a)]
		delete(inK, keyOf(a))
		switch {
		case !ok:
			lines = append(lines, fmt.Sprintf("missing in K: %v", a))
		case a.State != b.State || a.Timer != b.Timer || (a.Expires-b.Expires).Abs() > expiresTolerance:
			lines = append(lines, fmt.Sprintf("different: J %v\n           K %v", a, b))
		default:
			continue
		}
		ofJ = append(ofJ, a)
	}
	for _, s := range inK {
		lines = append(lines, fmt.Sprintf("only in K: %v", s))
	}
	if len(lines) == 0 {
		return nil, ""
	}
	slices.SortFunc(lines, cmp.Compare)
	const most = 10
	n := len(lines)
	return ofJ, fmt.Sprintf("J has %d sessions, K %d, %d differences:\n%s", len(j), len(k), n, strings.Join(lines[:min(n, most)], "\n"))
}

// count counts the sessions by protocol.
func count(sessions []session.Session) map[session.Proto]int {
	n := make(map[session.Proto]int)
	for _, s := range sessions {
		n[s.Proto]++
	}
	return n
}
