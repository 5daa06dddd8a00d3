package replication

import (
	"net/netip"
	"testing"
	"time"
)

func TestReasonLines(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	peer := netip.MustParseAddr("fd64::1")
	since := func(r Reason, d time.Duration) Reason {
		r.Since = now.Add(-d)
		return r
	}
	remedy := Gap{Datagrams: 1}.Reason(peer)
	remedy.Remedy = "type: jool"
	for _, c := range []struct {
		reason Reason
		want   string
	}{
		{Gap{Unknown: true}.Reason(peer), "peer fd64::1: its table was never compared with this one"},
		{Gap{Generations: 2, Datagrams: 3}.Reason(peer), "peer fd64::1: its table may have sessions that were in no live datagram"},
		{since(Gap{Datagrams: 3}.Reason(peer), 90*time.Second), "peer fd64::1: 3 live datagrams are missing, for 1m30s"},
		{since(Gap{Datagrams: 3}.Reason(peer), 999*time.Millisecond), "peer fd64::1: 3 live datagrams are missing"},
		{since(remedy, 2*time.Second), "peer fd64::1: 1 live datagram is missing, for 2s; type: jool"},
		{Gap{Unknown: true}.Orphaned(peer), "peer fd64::1: its table may have sessions of a host that is gone"},
		{Gap{Datagrams: 3}.Orphaned(peer), "peer fd64::1: its table may have sessions of a host that is gone, from 3 live datagrams"},
	} {
		if got := c.reason.Line(now); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
