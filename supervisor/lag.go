package supervisor

import (
	"fmt"
	"slices"
	"time"

	"joolctl/replication"
)

// warnings returns the warnings, which don't prevent this host from taking over. A lag is a warning: if the active host
// were not ready because a standby is slow, that standby would take over and lack the sessions. Refused datagrams are a
// warning, because anybody can send them. A path that loses long packets is a warning, because sessions missing for that
// cause are reasons themselves. The parameter reasons has the reasons against this host.
func (st readiness) warnings(reasons []replication.Reason, now time.Time, o ReadyOptions) []replication.Reason {
	list := []replication.Reason{}
	if st.state != Running {
		return list
	}
	if o.AllowAlone {
		list = append(list, st.unheard(now)...)
	}
	list = append(list, st.unlistedSender(now)...)
	if st.sync.Path != (replication.PathTrouble{}) {
		list = append(list, st.sync.Path.Reason())
	}
	list = append(list, st.secured(slices.Concat(reasons, list), now)...)
	if st.tuned && o.MaxLag == 0 { // with MaxLag, the lag is among the reasons
		list = append(list, st.lags(lagsAfter, now)...)
	}
	return list
}

// unlistedSender returns a warning if a listed peer is not live while datagrams arrive from an address that is not
// listed. That address may be the peer's.
func (st readiness) unlistedSender(now time.Time) []replication.Reason {
	if !st.sync.Unlisted.IsValid() || now.Sub(st.sync.UnlistedAt) > heardWithin {
		return nil
	}
	for peer := range st.listed.All() {
		if slices.ContainsFunc(st.peers, func(p replication.PeerInfo) bool { return p.Address == peer.Addr() && isLive(&p, now) }) {
			continue
		}
		return []replication.Reason{{Code: replication.UnlistedSender, Peer: peer.Addr().String(),
			Text:   fmt.Sprintf("peer %v is not heard, but %v sends and is not listed: a peer may send from an unlisted address", peer.Addr(), st.sync.Unlisted),
			Remedy: "if that is the peer behind a NAT, or another address of it, list it in \"peers\", or write the listed address as \"in interface\" there"}}
	}
	return nil
}

// lags returns a reason for each live peer that lags by more than limit.
func (st readiness) lags(limit time.Duration, now time.Time) (why []replication.Reason) {
	for i := range st.peers {
		p := &st.peers[i]
		if p.ID == 0 || !isLive(p, now) || p.Lag.Age <= limit {
			continue
		}
		why = append(why, replication.Reason{Code: replication.Lags, Peer: p.Address.String(), Sessions: p.Lag.Sessions,
			Text: fmt.Sprintf("peer %v lags: it had not stored %d sessions at its last HELLO, the oldest of them sent %v before",
				p.Address, p.Lag.Sessions, p.Lag.Age.Round(time.Millisecond)),
			Remedy: "look at the load of that host, and at `joolctl status -o wide` there"})
	}
	return why
}

// unknownLags returns a reason for each live peer whose lag is not known.
func (st readiness) unknownLags(now time.Time) (why []replication.Reason) {
	for i := range st.peers {
		if p := &st.peers[i]; p.ID != 0 && isLive(p, now) && !p.Lag.Known {
			why = append(why, replication.Reason{Code: replication.Lags, Peer: p.Address.String(),
				Text: fmt.Sprintf("peer %v needs a full sync before its lag is known", p.Address)})
		}
	}
	return why
}
