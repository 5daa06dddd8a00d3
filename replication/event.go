package replication

import (
	"net/netip"

	"joolctl/syncwire"
)

// Event is something that an operator or the process should know of: one of the types in this file.
type Event interface{ event() }

// TableUnread says that the module's session table could not be read.
type TableUnread struct{ Err error }

// TableReleased says that the memory of a session table is not used any more.
type TableReleased struct{ Sessions int }

// SessionUnfit says that a session of a peer's table has no form for the module.
type SessionUnfit struct{ Err error }

func (TableUnread) event()   {}
func (TableReleased) event() {}
func (SessionUnfit) event()  {}

// OwnTableUnread says that the own session table could not be read, so that a full sync ends.
type OwnTableUnread struct{ Err error }

// MayLackMore says that the table may lack more sessions than it lacked before.
type MayLackMore struct{}

// PathChanged says that packets of the host's MTU do not reach a peer, or that they do now: then the PathTrouble is zero.
type PathChanged struct{ PathTrouble }

// VerdictChanged says that the verdict was another one before.
type VerdictChanged struct {
	Was syncwire.Sync
	Verdict
}

// WrittenOff says that no peer has some live datagrams of a host that is gone.
type WrittenOff struct{ Datagrams uint64 }

// NoPeerSends says that no peer has sent its table.
type NoPeerSends struct{ Cause string }

// SyncStopped says that a full sync has stopped in the middle, and SyncResumed that its sender sends again.
type SyncStopped struct{ From netip.Addr }

// TableTooBig says that a peer's full sync is ignored, because its table has more than MaxSessions.
type TableTooBig struct {
	From     netip.Addr
	Sessions uint32
}

// SyncResumed has the sessions that were received before, of so many.
type SyncResumed struct {
	From          netip.Addr
	Got, Expected uint32
}

// SyncEnded says that a full sync has ended.
type SyncEnded struct{ SyncReport }

func (OwnTableUnread) event() {}
func (MayLackMore) event()    {}
func (PathChanged) event()    {}
func (VerdictChanged) event() {}
func (WrittenOff) event()     {}
func (NoPeerSends) event()    {}
func (SyncStopped) event()    {}
func (TableTooBig) event()    {}
func (SyncResumed) event()    {}
func (SyncEnded) event()      {}

// LookupFailed says that a session of a retransmission could not be looked up in the module.
type LookupFailed struct{ Err error }

// StallUnread says that the session table could not be read after a stall.
type StallUnread struct{ Err error }

// MessageDropped says that a control message makes no sense.
type MessageDropped struct {
	From netip.Addr
	Err  error
}

// ModuleDropped says that the module dropped sessions that it should have reported.
type ModuleDropped struct{ Sessions uint64 }

// PeerComplete says that a peer has sent a HELLO that says that it lacks nothing.
type PeerComplete struct{}

// PeersChanged says that more of a peer's live datagrams are lost, or that the peers are others.
type PeersChanged struct{}

// Advertised says how far the advertise under way is, or that it has ended.
type Advertised struct{ Advertise }

func (LookupFailed) event()   {}
func (StallUnread) event()    {}
func (MessageDropped) event() {}
func (ModuleDropped) event()  {}
func (PeerComplete) event()   {}
func (PeersChanged) event()   {}
func (Advertised) event()     {}
