package replication

import (
	"fmt"
	"net/netip"
	"time"
)

// Code names a kind of reason. Programs may compare it; texts may change.
type Code string

// Reasons why a peer's table may have sessions that the host's table lacks.
const (
	NotGreeted       Code = "not-greeted"       // the peer has sent no HELLO yet
	NeverCompared    Code = "never-compared"    // the tables were never compared
	SessionsMissing  Code = "sessions-missing"  // the peer's table has sessions that were in no live datagram
	DatagramsMissing Code = "datagrams-missing" // live datagrams of the peer are missing
	NumbersFall      Code = "numbers-fall"      // the peer's sequence numbers begin at a lower one again
	BehindOther      Code = "behind-other"      // another peer has received more of the peer's live datagrams
	DeadOrigin       Code = "dead-origin"       // the peer's table has sessions of a host that is gone
)

// Reasons that concern the host itself.
const (
	NotRunning     Code = "not-running"     // the pair's worker does not run
	ModuleSilent   Code = "module-silent"   // the kernel module does not answer
	ModuleDrops    Code = "module-drops"    // the kernel module drops sessions that it should report
	Alone          Code = "alone"           // no peer answers that could tell what the host lacks
	LinkDown       Code = "link-down"       // the network socket can neither send nor receive
	FullSync       Code = "full-sync"       // a full sync is under way
	Listening      Code = "listening"       // the worker has not listened long enough to know all peers
	MappingsBlock  Code = "mappings-block"  // sessions are not stored because of older mappings
	SettingsDiffer Code = "settings-differ" // settings differ from a peer's
	CountersDiffer Code = "counters-differ" // two counters that should agree do not
	TableTooLarge  Code = "table-too-large" // a peer's table has more sessions than a full sync takes
	UnlistedSender Code = "unlisted-sender" // a listed peer is not heard, and an address sends that is not listed
	Lags           Code = "lags"            // a peer stores the host's live datagrams late
	PathMTU        Code = "path-mtu"        // the host's longest packets do not reach a peer
)

// Reasons that concern the sealing of datagrams.
const (
	SecurityDiffers Code = "security-differs" // because of "security", the host does not hear a peer, or a peer does not hear the host
	KeyMissing      Code = "key-missing"      // a peer seals with a key that the host lacks
	PeerLacksKey    Code = "peer-lacks-key"   // a peer lacks the key that the host seals with
	OneWay          Code = "one-way"          // a peer does not hear the host
	ClearRefused    Code = "clear-refused"    // clear datagrams arrive, and are refused
	SealedRefused   Code = "sealed-refused"   // sealed datagrams arrive, and the host has no key
	Forged          Code = "forged"           // forged datagrams arrive
	Replayed        Code = "replayed"         // datagrams arrive that have arrived before
	UnknownKey      Code = "unknown-key"      // datagrams arrive that are sealed with a key that the host lacks
)

// Reasons why the files of a pair can't be used.
const (
	FilesRefused Code = "files-refused" // a file has a mistake, or another pair uses the same instance, group or port
	CannotStart  Code = "cannot-start"  // the new configuration can't start beside the running one
	NoOutcome    Code = "no-outcome"    // the worker has not reached a state in time
)

// Reason says why a host is not ready to take over.
type Reason struct {
	// Code names the kind of reason. Programs may compare it.
	Code Code `json:"code"`
	// Peer is the address of the peer that the reason concerns. It is missing if the reason concerns none.
	Peer string `json:"peer,omitempty"`
	// Sessions is how many sessions the reason concerns. It is missing if that is not known.
	Sessions uint64 `json:"sessions,omitempty"`
	// Datagrams is how many live datagrams are missing, or how many datagrams were refused. It is missing if that is not known.
	Datagrams uint64 `json:"datagrams,omitempty"`
	// Since is when the reason began. It is missing if that is not known.
	Since time.Time `json:"since,omitzero"`
	// Text is the reason in one line, with the peer and the amount. Its wording may change.
	Text string `json:"text"`
	// Remedy says what to do, and the command to type. It is missing if joolctl repairs it by itself.
	Remedy string `json:"remedy,omitempty"`
}

// Line is the reason with its age, in seconds, and its remedy.
func (r Reason) Line(now time.Time) string {
	line := r.Text
	if age := now.Sub(r.Since); !r.Since.IsZero() && age >= time.Second {
		line += fmt.Sprintf(", for %v", age.Truncate(time.Second))
	}
	if r.Remedy != "" {
		line += "; " + r.Remedy
	}
	return line
}

// Reason words what is missing of a live peer's own sessions.
func (g Gap) Reason(peer netip.Addr) Reason {
	r := Reason{Peer: peer.String()}
	switch {
	case g.Unknown:
		r.Code, r.Text = NeverCompared, fmt.Sprintf("peer %v: its table was never compared with this one", peer)
	case g.Generations > 0:
		r.Code, r.Text = SessionsMissing, fmt.Sprintf("peer %v: its table may have sessions that were in no live datagram", peer)
	case g.Datagrams == 1:
		r.Code, r.Datagrams, r.Text = DatagramsMissing, 1, fmt.Sprintf("peer %v: 1 live datagram is missing", peer)
	default:
		r.Code, r.Datagrams = DatagramsMissing, uint64(g.Datagrams)
		r.Text = fmt.Sprintf("peer %v: %d live datagrams are missing", peer, g.Datagrams)
	}
	return r
}

// Orphaned words what is missing of the sessions of a host that is gone, which a peer's table has.
func (g Gap) Orphaned(peer netip.Addr) Reason {
	r := Reason{Code: DeadOrigin, Peer: peer.String(), Text: fmt.Sprintf("peer %v: its table may have sessions of a host that is gone", peer)}
	if !g.Unknown && g.Generations == 0 {
		r.Datagrams = uint64(g.Datagrams)
		r.Text += fmt.Sprintf(", from %d live datagrams", g.Datagrams)
	}
	return r
}
