package supervisor

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"joolctl/configdir"
	"joolctl/replication"
	"joolctl/syncwire"
	"joolctl/worker"
)

const (
	// explainFor is how long after a peer's last datagram a warning explains why the peer may be silent.
	explainFor = time.Hour
	// greetedWithin is the time since a peer's last greeting up to which the peer counts as present: greetings are sent
	// every 10 s.
	greetedWithin = 25 * time.Second
	// muteAfter is the time during which only greetings of a peer arrive, and no other sealed datagram, after which the
	// peer counts as a sender of clear datagrams. HELLOs are sent every 10 s, and one of them may be lost.
	muteAfter = 25 * time.Second
	// replaysCount is the number of replayed datagrams from which on a warning reports them: a network may duplicate a
	// few.
	replaysCount = 10
)

// security is the pair's configuration for sealing datagrams.
type security struct {
	syncwire.Security
	keyFile string
}

func securityOf(spec *configdir.Spec) security {
	return security{worker.SecurityOf(spec), spec.KeyFile}
}

// keyed reports whether the pair accepts sealed datagrams.
func (s *security) keyed() bool { return s.Mode.TakesSealed() && s.Keys > 0 }

// unheard returns the reasons why this host's table may lack sessions of a peer whose datagrams it can't open because of
// "security" or the keys. The reasons follow from authentic datagrams only, so that nobody without a key can cause or
// prevent them.
func (st *readiness) unheard(now time.Time) (why []replication.Reason) {
	if st.security.Mode != syncwire.SecurityRequire {
		return nil // without authentication, anybody could have sent the datagrams
	}
	for i := range st.peers {
		p := &st.peers[i]
		if p.ID == 0 || !p.Authentic || isLive(p, now) {
			continue
		}
		if r, can := st.cannotHear(p); !can {
			r.Since = p.LastHeard
			r.Remedy += "; if that host is gone for good, type: joolctl restart " + st.name
			why = append(why, r)
		}
	}
	for _, l := range st.sync.Links {
		from := l.From.String()
		named := func(r replication.Reason) bool { return r.Peer == from }
		if now.Sub(l.GreetedAt) > greetedWithin || l.GreetedAt.Sub(l.ContentAt) < muteAfter || slices.ContainsFunc(why, named) {
			continue
		}
		why = append(why, replication.Reason{Code: replication.SecurityDiffers, Peer: from, Since: l.ContentAt,
			Text:   fmt.Sprintf(`peer %s sends clear datagrams, which "security": "require" refuses: nothing but its greetings is sealed`, from),
			Remedy: `write "security": "send" there, or here until it has that`})
	}
	return why
}

// secured returns the warnings about modes, keys and refused datagrams. reasons are those of unheard that are shown
// anyway.
func (st *readiness) secured(reasons []replication.Reason, now time.Time) (warnings []replication.Reason) {
	add := func(list ...replication.Reason) {
		for _, r := range list {
			same := func(other replication.Reason) bool { return other.Code == r.Code && other.Peer == r.Peer }
			if !slices.ContainsFunc(reasons, same) && !slices.ContainsFunc(warnings, same) {
				warnings = append(warnings, r)
			}
		}
	}
	for i := range st.peers {
		p := &st.peers[i]
		if now.Sub(p.LastHeard) > explainFor || p.ID != 0 && p.Software == "" {
			continue
		}
		if r, can := st.cannotHear(p); !can {
			add(r)
		}
		if !isLive(p, now) {
			continue
		}
		add(st.cannotBeHeard(p)...)
	}
	for _, l := range st.sync.Links {
		if l.DeafSince.IsZero() || now.Sub(l.DeafSince) < worker.UnconfirmedAfter || now.Sub(l.GreetedAt) > greetedWithin {
			continue
		}
		add(oneWay(l.From, l.DeafSince, "does not hear this host: its greetings say so", 0))
	}
	var refused []replication.Reason
	for i := range st.sync.Refused {
		if r, ok := st.refused(&st.sync.Refused[i], now); ok && len(refused) < replication.MaxReasons {
			refused = append(refused, r)
		}
	}
	add(refused...)
	return warnings
}

// since returns when this host or the peer last changed its mode or keys, whichever is later.
func (st *readiness) since(p *replication.PeerInfo) time.Time {
	return replication.Latest(p.SecuritySince, st.sync.SecuritySince)
}

// cannotHear returns the reason why this host can't open a peer's datagrams, according to the peer's last HELLO. can is
// true if there is no such reason.
func (st *readiness) cannotHear(p *replication.PeerInfo) (why replication.Reason, can bool) {
	own, peer := &st.security, &p.Security
	if !peer.Known {
		return why, true
	}
	why = replication.Reason{Code: replication.SecurityDiffers, Peer: p.Address.String(), Since: st.since(p)}
	first := peer.First()
	switch {
	case !own.Mode.TakesClear() && !peer.Mode.Seals():
		why.Text = fmt.Sprintf(`this host does not hear peer %v: "security" is %q there, so that it sends clear datagrams, and %q here`, p.Address, peer.Mode, own.Mode)
		why.Remedy = `write "security": "send" there, or here until it has that`
	case !own.Mode.TakesSealed() && peer.Mode.Seals():
		why.Text = fmt.Sprintf(`this host does not hear peer %v: "security" is %q there, so that it sends sealed datagrams, and %q here`, p.Address, peer.Mode, own.Mode)
		why.Remedy = `write "security": "accept" and "key file" here, or "accept" there until this host has a key`
	case own.keyed() && peer.Mode.Seals() && peer.Keys > 0 && !own.Has(first):
		why.Code = replication.KeyMissing
		why.Text = fmt.Sprintf("peer %v seals with key %d, which this host lacks", p.Address, first)
		why.Remedy = fmt.Sprintf("add key %d to %s, as it is in the key file there", first, own.keyFile)
	default:
		return why, true
	}
	return why, false
}

// cannotBeHeard returns why a live peer can't open this host's datagrams, or will soon not be able to.
func (st *readiness) cannotBeHeard(p *replication.PeerInfo) (why []replication.Reason) {
	own, peer := &st.security, &p.Security
	add := func(code replication.Code, text, remedy string) {
		why = append(why, replication.Reason{Code: code, Peer: p.Address.String(), Since: st.since(p), Text: text, Remedy: remedy})
	}
	first := own.First()
	switch {
	case own.Mode.Seals() && !peer.Known:
		add(replication.SecurityDiffers, fmt.Sprintf("peer %v does not hear this host: it is an upstream joold or an older joolctl, which can't open sealed datagrams", p.Address),
			`write "security": "accept" here, or replace the program there`)
	case own.Mode.Seals() && !peer.Mode.TakesSealed():
		add(replication.SecurityDiffers, fmt.Sprintf(`peer %v does not hear this host: "security" is %q there, and %q here, so that this host sends sealed datagrams`, p.Address, peer.Mode, own.Mode),
			`write "security": "accept" and "key file" there, or "accept" here until it has a key`)
	case peer.Known && !peer.Mode.TakesClear() && !own.Mode.Seals():
		add(replication.SecurityDiffers, fmt.Sprintf(`peer %v does not hear this host: "security" is %q there, and %q here, so that this host sends clear datagrams`, p.Address, peer.Mode, own.Mode),
			`write "security": "send" here, or there until this host has that`)
	}
	if own.keyed() && peer.Known && !peer.Has(first) {
		add(replication.PeerLacksKey, fmt.Sprintf("peer %v lacks key %d, the first one of this host", p.Address, first),
			fmt.Sprintf("add key %d to the key file there before you move it to the first line here", first))
	}
	return why
}

// oneWay returns the warning that datagrams of this host do not reach a peer.
func oneWay(peer netip.Addr, since time.Time, text string, datagrams uint64) replication.Reason {
	return replication.Reason{Code: replication.OneWay, Peer: peer.String(), Since: since, Datagrams: datagrams, Text: fmt.Sprintf("peer %v %s", peer, text),
		Remedy: "look there for this host in `joolctl status -o wide`; check interfaces, snooping and firewalls on the way from this host to it"}
}

// refused returns the warning about refused datagrams, which anybody can send from any address. ok is false if no
// warning is needed.
func (st *readiness) refused(r *worker.Refused, now time.Time) (why replication.Reason, ok bool) {
	if now.Sub(r.Last) > worker.RefusedFor {
		return why, false
	}
	own, from := &st.security, r.From
	why = replication.Reason{Peer: from.String(), Since: r.Since, Datagrams: r.Datagrams}
	switch r.Why {
	case worker.RefusedClear:
		why.Code = replication.ClearRefused
		why.Text = fmt.Sprintf(`dropped %s from %v, because "security" is %q`, datagrams(r.Datagrams, "clear "), from, own.Mode)
		why.Remedy = `if that is a host of the group, write "security": "send" there, or here until it has that; otherwise somebody forges them`
	case worker.RefusedSealed:
		if st.speaksClear(from, now) { // only the peer's greetings are sealed
			return why, false
		}
		why.Code = replication.SealedRefused
		why.Text = fmt.Sprintf(`dropped %s from %v, because "security" is %q`, datagrams(r.Datagrams, "sealed "), from, own.Mode)
		why.Remedy = `if that is a host of the group, write "security": "accept" and "key file" here, or "accept" there until this host has a key`
	case worker.RefusedForged:
		why.Code = replication.Forged
		why.Text = fmt.Sprintf("dropped %s from %v: not sealed with key %d for this group and port", datagrams(r.Datagrams, "forged "), from, r.Key)
		why.Remedy = "compare the key file with that of the other hosts; if they are equal, somebody forges datagrams"
	case worker.RefusedReplayed:
		if r.Datagrams < replaysCount {
			return why, false
		}
		why.Code = replication.Replayed
		why.Text = fmt.Sprintf("dropped %s from %v: they had arrived before, or are too old", datagrams(r.Datagrams, "replayed "), from)
		why.Remedy = "find out whether the network duplicates datagrams; otherwise somebody sends a recording"
	case worker.RefusedUnknownKey:
		why.Code = replication.UnknownKey
		why.Text = fmt.Sprintf("dropped %s from %v: sealed with key %d, which this host lacks", datagrams(r.Datagrams, ""), from, r.Key)
		why.Remedy = fmt.Sprintf("if that is a host of the group, add key %d to %s", r.Key, own.keyFile)
	case worker.RefusedUnconfirmed:
		if r.Last.Sub(r.Since) < worker.UnconfirmedAfter || now.Sub(r.Last) > greetedWithin {
			return why, false
		}
		return oneWay(from, r.Since, fmt.Sprintf("has not heard this host: dropped %s of it, because they may be a recording", datagrams(r.Datagrams, "")), r.Datagrams), true
	}
	return why, true
}

// speaksClear reports whether a live peer with an address announces that it sends clear datagrams.
func (st *readiness) speaksClear(from netip.Addr, now time.Time) bool {
	return slices.ContainsFunc(st.peers, func(p replication.PeerInfo) bool {
		return p.Address == from && p.Security.Known && !p.Security.Mode.Seals() && isLive(&p, now)
	})
}

// datagrams returns a number of datagrams of a kind in words.
func datagrams(n uint64, kind string) string {
	if n == 1 {
		return "1 " + kind + "datagram"
	}
	return strconv.FormatUint(n, 10) + " " + kind + "datagrams"
}

// keyIDs returns the IDs of keys for JSON.
func keyIDs(s *syncwire.Security) (ids []int) {
	for _, id := range s.IDs() {
		ids = append(ids, int(id))
	}
	return ids
}
