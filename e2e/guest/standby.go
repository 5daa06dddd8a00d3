package guest

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"joolctl/joolnl"
	"joolctl/packetio"
	"joolctl/session"

	control "joolctl/supervisor"
)

// madeUpUDP is a made-up session: 1,000 destination ports behind each mask, up
// to four million of them.
func madeUpUDP(place int, left time.Duration) session.Session {
	const perMask, masks = 1000, 4000
	host := netip.MustParseAddr(addr6).As16()
	host[13] = byte(place / (perMask * masks))
	port := uint16(10000 + place%perMask)
	return session.Session{
		Proto:   session.UDP,
		Src6:    netip.AddrPortFrom(netip.AddrFrom16(host), uint16(1000+place/perMask%masks)),
		Dst6:    netip.AddrPortFrom(netip.MustParseAddr(addr4in6), port),
		Src4:    netip.AddrPortFrom(netip.MustParseAddr(pool4), uint16(61001+place/perMask%masks)),
		Dst4:    netip.AddrPortFrom(netip.MustParseAddr(addr4), port),
		Expires: left,
	}
}

// fill adds n made-up sessions to an instance, oldest first, as fast as the module accepts them. Their age is unrelated
// to their place in the table, as in a real table.
func (n *namespace) fill(t testing.TB, instance string, sessions int) {
	n.fillFrom(t, instance, 0, sessions)
}

// fillFrom is fill for sessions with other addresses: those with the numbers from first on.
func (n *namespace) fillFrom(t testing.TB, instance string, first, sessions int) {
	t.Helper()
	n.fillWith(t, instance, sessions, func(i int) session.Session {
		const prime = 7919 // divides no number of sessions here
		left := 4*time.Minute + time.Duration(i)*50*time.Second/time.Duration(sessions)
		return madeUpUDP(first+i*prime%sessions, left)
	})
}

// fillWith adds n sessions to an instance, as fast as the module accepts them. The oldest must come first.
func (n *namespace) fillWith(t testing.TB, instance string, sessions int, each func(i int) session.Session) {
	t.Helper()
	n.onInstance(t, instance, func(c *joolnl.Conn) error {
		format := c.Version.Format()
		per := format.PerDatagram(1440)
		var entries, header []byte
		for i := range sessions {
			var err error
			if entries, err = format.Append(entries, each(i)); err != nil {
				return err
			}
			if (i+1)%per != 0 && i != sessions-1 {
				continue
			}
			header, _ = c.AppendAdd(header[:0], len(entries))
			batch := packetio.NewGather(2)
			batch.Add(header)
			batch.Add(entries)
			if err := c.SendAdds(batch); err != nil {
				return err
			}
			entries = entries[:0]
		}
		return nil
	})
}

// sessionCount returns the number of sessions in an instance, as the module counts them.
func (n *namespace) sessionCount(t testing.TB, instance string) int {
	t.Helper()
	return int(n.stats(t, instance)["JSTAT_SESSIONS"])
}

// awaitSameCount waits until J and K have equally many sessions, and J has at least that many. J may still be opening
// some after the traffic has been sent.
func (top *topology) awaitSameCount(t testing.TB, least int, limit time.Duration) {
	t.Helper()
	before := -1
	eventually(t, limit, "J and K have as many sessions", func() string {
		j, k := top.j.sessionCount(t, "nat"), top.k.sessionCount(t, "nat")
		still := j == before
		before = j
		if j != k || j < least || !still {
			return fmt.Sprintf("J has %d, K %d, want %d at least", j, k, least)
		}
		return ""
	})
}

// awaitFullSync waits until a supervised worker has ended another full sync than the given one, and runs none.
func (w worker) awaitFullSync(t testing.TB, since *control.FullSync, limit time.Duration) *control.FullSync {
	t.Helper()
	var last *control.FullSync
	eventually(t, limit, w.namespace.name+" has ended a full sync", func() string {
		s, _ := statusOf(t, w.socket)
		row := s.Workers[0]
		last = row.LastFullSync
		switch {
		case row.FullSync != nil:
			return row.FullSync.String()
		case last == nil || since != nil && *last == *since:
			return "none yet"
		}
		return ""
	})
	return last
}

// awaitSynced waits until a supervised worker says that it is complete.
func (w worker) awaitSynced(t testing.TB, synced string) {
	t.Helper()
	eventually(t, time.Minute, w.namespace.name+" is synced: "+synced, func() string {
		s, _ := statusOf(t, w.socket)
		if got := s.Workers[0].Synced; got != synced {
			return got
		}
		return ""
	})
}

// lossy makes both ends of the link "sync" drop a part of the packets that they send.
func (top *topology) lossy(t testing.TB, percent int) {
	t.Helper()
	for _, n := range []*namespace{top.j, top.k} {
		n.exec(t, "tc", "qdisc", "replace", "dev", syncLink, "root", "netem", "loss", fmt.Sprintf("%d%%", percent))
	}
}

// settledCount waits until K's table has not grown for the time quiet, or is full, but at most for limit, because C
// joold may never finish. took is the time until the table last grew.
func (top *topology) settledCount(t testing.TB, full int, quiet, limit time.Duration) (n int, took time.Duration) {
	t.Helper()
	began, last, since := time.Now(), -1, time.Now()
	eventually(t, limit+quiet, "K's table stands still", func() string {
		n = top.k.sessionCount(t, "nat")
		if n != last {
			last, since = n, time.Now()
		}
		if n >= full || time.Since(since) > quiet || time.Since(began) > limit {
			return ""
		}
		return fmt.Sprintf("it has %d", n)
	})
	return n, since.Sub(began)
}
