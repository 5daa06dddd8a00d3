package main

import "strings"

// mutation is a defect.
type mutation struct {
	name   string
	breaks string // the defect that the mutation causes
	edits  []edit
}

// test is the test that looks for the defect: those of sealed datagrams need an attacker.
func (m mutation) test() string {
	if strings.HasPrefix(m.name, "seal-") {
		return "TestSealedSimulation"
	}
	return "TestSimulation"
}

// edit replaces a text that occurs once in the files of all packages.
type edit struct{ old, new string }

// mutations are defects that reviews have found in earlier versions, and others of the same kinds. No edit of one makes
// the text of another edit ambiguous: each is applied alone.
var mutations = []mutation{
	{"comparison-ignores-state", "two records of one moment count as equal, whatever their states", []edit{{
		"further := cmp.Compare(progress(theirs), progress(ours))", "further := 0 * cmp.Compare(progress(theirs), progress(ours))"}}},
	{"comparison-reversed", "of two records the older one wins", []edit{{
		"	case behind > tolerance:\n		return 1\n	case behind < -tolerance:\n		return -1\n",
		"	case behind > tolerance:\n		return -1\n	case behind < -tolerance:\n		return 1\n"}}},
	{"drops-keep-generation", "sessions whose reports the module drops are in no generation, so that nobody asks for them", []edit{{
		"\t\th.do.Emit(ModuleDropped{dropped})\n\t\th.Dropped(now)\n", "\t\th.do.Emit(ModuleDropped{dropped})\n"}}},
	{"overrun-keeps-generation", "sessions whose reports overran the netlink socket are in no generation", []edit{{
		"	p.host.Dropped(now)\n	p.wake(now)\n}\n\n// passReports", "	p.wake(now)\n}\n\n// passReports"}}},
	{"start-keeps-generation", "sessions that the instance holds when the worker starts are in no generation", []edit{{
		"		k.position.Generation = 1\n", "		k.position.Generation = 0\n"}}},
	{"takeover-keeps-generation", "sessions of a dead origin that the host takes over are in no generation", []edit{{
		"risen = k.vector.TakeOver(vectors); risen {\n		k.Gain()\n	}\n", "risen = k.vector.TakeOver(vectors); risen {\n		risen = false\n	}\n"}}},
	{"sync-clears-all-losses", "a full sync from one peer clears what was lost of all others", []edit{{
		"c.complete = c.complete.Max(w.Complete)", "c.complete = c.highest.Max(w.Complete)"}}},
	{"merge-overwrites", "a full sync from a peer that knows less of an origin sets the position back", []edit{{
		"c.complete = c.complete.Max(w.Complete)", "c.complete = w.Complete"}}},
	// Without Known alone, an unknown origin becomes known at the zero position, which claims nothing.
	{"merge-of-unknown", "a full sync makes complete what its sender holds in part", []edit{
		{"		if !w.Known {\n			continue\n		}\n		c := v.at(w.Origin)", "		c := v.at(w.Origin)"},
		{"c.known, c.complete = true, w.Complete", "c.known, c.complete = true, w.Highest"}}},
	// A merge after the comparison, but before the injection, changes nothing: until the injection has ended, the
	// verdict is no because of the full sync under way, and any failure in between discards the vector.
	{"merge-at-begin", "the host counts sessions of a full sync as soon as it begins", []edit{{
		"	r.knowledge.Wait(now)\n	r.reported.Start()", "	r.knowledge.Merge(b.Vector, r.knowledge.Doubts(), now)\n	r.knowledge.Wait(now)\n	r.reported.Start()"}}},
	{"vector-after-table", "a full sync claims sessions that came after the table was read", []edit{
		{"	c := s.current\n	c.announced = now\n", "	c := s.current\n	c.announced = now\n	if c.reading {\n		return\n	}\n"},
		{"c.table, c.reading = t, false\n					s.start(", "c.table, c.reading, c.vector = t, false, s.knowledge.Whole(s.host.Now())\n					s.start("}}},
	{"doubt-forgets-nothing", "the vector claims sessions that the module had no memory for", []edit{{
		"	k.doubts++\n	k.vector.ForgetAll()\n", "	k.doubts++\n"}}},
	{"no-memory-no-doubt", "a JOOLD_ADD that failed is forgotten", []edit{{
		"		p.host.Doubt(p.do.now()) // a full sync has to bring the sessions that there was no memory for\n", ""}}},
	// A full sync raises what is held twice: before the first session is stored, and when all are.
	{"hold-omitted", "a full sync does not raise the position that the table may hold, so that peers do not ask for its sessions", []edit{
		{"r.knowledge.RaiseHighest(in.vector, now)", "_ = in.vector"},
		{"	v.RaiseHighest(vector, now, live)\n", ""}}},
	{"lost-datagrams-forgotten", "a live datagram that no retransmission brings counts as received", []edit{{
		"	s.lost++\n	if s.claims(seq) {\n		s.first = seq + 1\n	}\n", "	s.lost++\n"}}},
	{"sequence-jump-for-ever", "after a forged high sequence number the sender's live datagrams are dropped for ever", []edit{
		{"s.behind++; s.behind >= RestartAfter", "s.behind++; s.behind < 0"},
		{"s.behind++; s.behind < RestartAfter", "s.behind++; s.behind >= 0"}}},
	{"group-change-keeps-peers", "a host that has moved to another group is complete because of its old peers", []edit{{
		"	h.Peers.ForgetAll()\n	h.do.Emit(PeersChanged{})\n	h.Listen(CauseMoved, now)\n", "	h.do.Emit(PeersChanged{})\n"}}},
	{"touched-ignored", "a full sync overwrites what the own module has reported meanwhile", []edit{{
		"	if r.sessions == nil {\n		return false\n	}\n	before", "	if true {\n		return false\n	}\n	before"}}},
	{"touched-overflows", "a full sync overwrites what the own module has reported meanwhile, if that is much", []edit{
		{"const MaxReported = 1 << 18", "const MaxReported = 1"},
		{"		r.overflow = true\n		return false", "		return false"}}},
	{"late-retransmission-wins", "after a failover a retransmission overwrites what the own module has reported", []edit{{
		"		case allowed && h.older(&r):\n", "		case allowed && h.older(&r) && false:\n"}}},
	{"complete-while-held", "live datagrams wait for an advertised full sync, and the host says yes meanwhile", []edit{{
		"r.full = r.full || !Withholds(r.Cause)", "r.full = r.full || r.Cause == CauseVerification"}}},
	{"held-updates-dropped", "live datagrams that come during a full sync are lost", []edit{{
		"	if len(entries) > 0 {\n		h.do.Store(entries)\n", "	if retransmitted {\n		h.do.Store(entries)\n"}}},
	{"off-by-one-at-the-end", "a host does not notice that the last live datagram is missing", []edit{{
		"		s.miss(last+1, now)\n", "		s.miss(last, now)\n"}}},
	{"off-by-one-in-last", "the position covers one datagram that is missing", []edit{{
		"			return m.seq - 1\n", "			return m.seq\n"}}},
	{"nack-never-sent", "a lost live datagram is not requested", []edit{{
		"		h.reply(&syncwire.Nack{To: from.ID, Ranges: ask}, now)\n", ""}}},
	{"retransmission-not-aged", "a retransmission gives sessions the time that they had left before", []edit{{
		"left-min(left, uint32(now.Sub(sent).Milliseconds())))", "left-0*min(left, uint32(now.Sub(sent).Milliseconds())))"}}},
	{"absence-ignored", "after a partition, retransmissions overwrite newer states of the same sessions that other hosts have sent meanwhile", []edit{{
		"	case arrived.After(k.liveUntil()) && others.After(k.LastHeard):\n		k.Stream.Absent()\n", ""}}},
	{"late-datagrams-accepted", "a live datagram that arrives after its successors moves sessions back", []edit{{
		"		if s.behind++; s.behind < RestartAfter {\n			return false\n		}\n", "		if s.behind++; s.behind < RestartAfter {\n			deliver(data)\n			return true\n		}\n"}}},
	{"checkpoint-of-another", "a worker goes on as the one before although the module's counters have changed", []edit{{
		"	return now.Packets == was.Packets && now.Stored == was.Stored && now.Dropped == was.Dropped && reported\n", "	return reported || true\n"}}},
	{"peers-live-for-ever", "a peer that is gone counts as live", []edit{{
		"return k.LastHeard.Add(nextIn + LateHello)", "return k.LastHeard.Add(nextIn + time.Hour)"}}},
	{"pending-for-ever", "a host says yes while live datagrams may still come, however long that takes", []edit{{
		"l.Pending && now.Before(at) &&", "l.Pending &&"}}},
	{"pauses-never-grow", "a lasting difference has the whole table sent again and again", []edit{{
		"return min(max(2*b.Pause, FirstPause), LongestPause)", "return min(FirstPause, LongestPause)"}}},
	{"bulks-not-aged", "a full sync gives sessions the time that they had left when the table was read", []edit{{
		"		r.Age(now.Sub(c.table.Base))\n		b = append(b, r[:]...)\n", "		b = append(b, r[:]...)\n"}}},
	{"greeting-ignored", "a host is complete before a peer has said what it has", []edit{{
		"		lack.Pending, lack.Since = true, known.Since\n", "		return lack, false\n"}}},
	{"dead-origins-ignored", "a host is complete although a peer holds sessions of a host that is gone", []edit{{
		"if gap, is := k.vector.Gap(c.Origin, c.Highest); is {", "if gap, is := k.vector.Gap(c.Origin, c.Highest); is && false {"}}},
	{"blocked-mappings", "mappings that are in the way of younger ones stay", []edit{{
		"err := p.module.AskRemoveBIB(m.Proto, m.Src4); err != nil {", "err := error(nil); err != nil {"}}},
	{"seal-window-off", "a sealed datagram that arrived before is opened again", []edit{{
		"	case !p.seen.fresh(h.counter):\n", "	case h.counter == 0:\n"}}},
	{"seal-recordings-accepted", "a host that has started takes a recording of a peer's datagrams for the peer", []edit{{
		"	if named && !p.accepted && c.admit(now) {\n", "	if !p.accepted && c.admit(now) {\n"}}},
	{"seal-clear-accepted", "a host that requires sealed datagrams takes clear ones", []edit{{
		"		if p.mode == configdir.SecurityRequire {\n", "		if p.mode == configdir.SecurityRequire && false {\n"}}},
}
