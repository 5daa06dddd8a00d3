package replication

// Kept returns how many sessions the host keeps in memory: those that wait for others or for a full sync, and the tables of full syncs.
func (h *Host) Kept() int { return int(h.Pending()) + h.Sender.kept() + h.Receiver.kept() }

// kept returns the sessions of the tables that are sent, can be retransmitted, or are to be returned.
func (s *Sender) kept() (n int) {
	if s.current != nil {
		n = len(s.current.table.Records)
	}
	for _, c := range s.sent {
		n += len(c.table.Records)
	}
	for _, c := range s.returns {
		n += len(c.table.Records)
	}
	return n
}

// kept returns the sessions of the full syncs that arrive or were stopped: those that have arrived, the own table's, and those that
// are to be injected.
func (r *Receiver) kept() (n int) {
	for _, in := range []*incoming{r.in, r.stopped} {
		if in == nil {
			continue
		}
		n += len(in.records) + in.injection.total
		if in.table != nil {
			n += len(in.table.ours)
		}
	}
	return n
}
