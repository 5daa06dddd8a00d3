package worker

import "sync/atomic"

// saved returns the pair's counters, keyed by their names in Save's result.
func (c *Counters) saved() map[string]*atomic.Uint64 {
	return map[string]*atomic.Uint64{
		"kernel_sent_packets": &c.kernelSentPackets, "kernel_sent_bytes": &c.kernelSentBytes,
		"net_rcvd_packets": &c.netRcvdPackets, "net_rcvd_bytes": &c.netRcvdBytes,
		"net_sent_packets": &c.netSentPackets, "net_sent_bytes": &c.netSentBytes,
		"netlink_overruns": &c.netlinkOverruns, "socket_drops": &c.socketDrops,
		"malformed": &c.malformed, "not_understood": &c.notUnderstood,
		"forged": &c.forged, "replayed": &c.replayed, "unknown_key": &c.unknownKey,
		"unconfirmed": &c.unconfirmed, "throttled": &c.throttled, "clear_refused": &c.clearRefused, "unlisted": &c.unlisted,
		"kernel_errors": &c.kernelErrors, "send_errors": &c.sendErrors,
		"reported": &c.reported, "coalesced": &c.coalesced, "refreshed": &c.refreshed,
		"sent": &c.sentSessions, "retransmitted": &c.retransmitted,
		"advertised": &c.advertised, "unsent": &c.unsent, "received": &c.receivedSessions,
		"translated": &c.translated, "untranslated": &c.untranslated, "cut": &c.cut,
		"ignored": &c.ignored, "given": &c.given,
		"injected": &c.injected, "collisions": &c.collisions,
		"kernel_dropped": &c.kernelDropped, "netlink_lost": &c.netlinkLost,
		"network_lost": &c.networkLost, "repaired": &c.networkRepaired,
		"written_off": &c.writtenOff, "ignored_claims": &c.ignoredClaims, "found_late": &c.foundLate,
		"full_syncs": &c.fullSyncs, "full_syncs_unanswered": &c.unanswered,
		"full_syncs_interrupted": &c.interrupted, "full_syncs_too_large": &c.tooLarge,
	}
}

// Save returns the counters and the checkpoint for Restore, in this process or the next.
func (c *Counters) Save() map[string]uint64 {
	saved := make(map[string]uint64)
	for name, n := range c.saved() {
		saved[name] = n.Load()
	}
	c.checkpoints.save(saved)
	return saved
}

// Restore sets the counters and the checkpoint to values that Save has returned. It ignores unknown names: these are counters
// of another version of this software.
func (c *Counters) Restore(saved map[string]uint64) {
	for name, n := range c.saved() {
		n.Store(saved[name])
	}
	c.checkpoints.restore(saved)
}
