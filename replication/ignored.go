package replication

import "joolctl/session"

// Why a session of a peer does not get to the module.
const (
	ignoredOwn        = "this host has sent it"
	ignoredAdvertised = "it was advertised for hosts with upstream's joold"
	ignoredDatagram   = "its datagram arrived before, or too late"
	ignoredSuperseded = "a later datagram has brought a newer state"
	ignoredOlder      = "the module has a newer state"
	ignoredOutdated   = "it has waited for a full sync, and the module has got a newer state meanwhile"
	ignoredForgotten  = "a datagram before it is missing, and its sender was forgotten"
	ignoredUnknown    = "the module may have a newer state, and too many sessions are looked up already; a full sync brings it"
)

// SessionIgnored says why a session that a peer has sent does not get to the module. It is emitted only if Config.Explains is true.
type SessionIgnored struct {
	Why     string
	Session session.Record
}

func (SessionIgnored) event() {}

// ignore counts sessions that the module does not get, and explains each of them if the operator wants to know.
func (h *Host) ignore(why string, entries []byte) {
	f := session.ListFormat(entries)
	h.do.Count(CountIgnored, uint64(len(entries)/f.EntryLen()))
	if h.Explains == nil || !h.Explains() {
		return
	}
	for ; len(entries) > 0; entries = entries[f.EntryLen():] {
		h.do.Emit(SessionIgnored{why, f.Record(entries)})
	}
}
