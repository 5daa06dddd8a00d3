package metrics

import "joolctl/supervisor"

var programSection = Section{
	Title: "Program",
	Text:  "The names of the process metrics begin with `joolctl_`, because node_exporter's textfile collector would take them for its own otherwise.",
	Families: []Family{
		{Name: "joolctl_build_info", Type: Info, Labels: anyOf("version", "commit", "goversion"), Help: "The version of the running supervisor.",
			program: func(e *encoder, s *scrape) { e.count(1, s.build.Version, s.build.Commit, s.build.Go) }},
		{Name: "joolctl_start_timestamp_seconds", Type: Gauge, Unit: "seconds", Help: "When the supervisor started, in seconds since 1970.",
			program: func(e *encoder, s *scrape) { e.number(timestamp(s.Started)) }},
		{Name: "joolctl_directory_readable", Type: Gauge, Help: "Whether the directory of pairs could be read at the last attempt.",
			program: func(e *encoder, s *scrape) { e.truth(s.Reason == "") }},
		{Name: "joolctl_pairs", Type: Gauge, Unit: "pairs", Help: "How many pairs the directory has.",
			program: func(e *encoder, s *scrape) { e.count(uint64(len(s.Workers))) }},
		{Name: "joolctl_process_cpu_seconds_total", Type: Counter, Unit: "seconds", Help: "Processor time that the process has used, in user space and in the kernel.",
			program: func(e *encoder, s *scrape) { e.number(s.process.cpuSeconds) }},
		{Name: "joolctl_process_resident_memory_bytes", Type: Gauge, Unit: "bytes", Help: "Memory of the process that is in RAM.",
			program: func(e *encoder, s *scrape) { e.count(s.process.residentBytes) }},
		{Name: "joolctl_process_threads", Type: Gauge, Unit: "threads", Help: "How many threads the process has. Each network namespace has one.",
			program: func(e *encoder, s *scrape) { e.count(s.process.threads) }},
		{Name: "joolctl_process_open_fds", Type: Gauge, Unit: "fds", Help: "How many file descriptors the process has open.",
			program: func(e *encoder, s *scrape) { e.count(s.process.descriptors) }},
		{Name: "joolctl_process_max_fds", Type: Gauge, Unit: "fds", Help: "How many file descriptors the process may open.",
			program: func(e *encoder, s *scrape) { e.count(s.process.maxOpened) }},
		{Name: "joolctl_runtime_goroutines", Type: Gauge, Unit: "goroutines", Help: "How many goroutines the process has.",
			program: func(e *encoder, s *scrape) { e.count(s.Runtime.Goroutines) }},
		{Name: "joolctl_runtime_heap_bytes", Type: Gauge, Unit: "bytes", Help: "Memory of objects on the heap, including those that are not used any more.",
			program: func(e *encoder, s *scrape) { e.count(s.Runtime.HeapBytes) }},
	},
}

var pairSection = Section{
	Title: "Pairs",
	Text:  "`group_left(netns, iname, group)` adds the labels of `joolctl_pair_info` to another metric.",
	Families: []Family{
		{Name: "joolctl_pair_info", Type: Info, Labels: anyOf("netns", "iname", "group"), Help: "Network namespace, Jool instance and multicast group of a pair. The group is empty if the pair has peers by unicast only.",
			pair: func(e *encoder, r *supervisor.Row) { e.count(1, r.Namespace, r.Instance, r.Group) }},
		{Name: "joolctl_configured_peer_heard", Type: Gauge, Labels: []Label{peerLabel}, Help: "Whether a datagram of a peer that netsocket.json lists has arrived since the worker's start.",
			pair: func(e *encoder, r *supervisor.Row) {
				for _, peer := range r.ConfiguredPeers {
					e.truth(peer.Heard, peer.Address)
				}
			}},
		{Name: "joolctl_pair_state", Type: Gauge, Labels: []Label{{"state", states}}, Help: "Whether the pair is in this state.",
			pair: func(e *encoder, r *supervisor.Row) { oneOf(e, states, string(r.State)) }},
		{Name: "joolctl_pair_since_timestamp_seconds", Type: Gauge, Unit: "seconds", Help: "When the pair came into its state, in seconds since 1970.",
			pair: func(e *encoder, r *supervisor.Row) { e.number(timestamp(r.Since)) }},
		{Name: "joolctl_restarts_total", Type: Counter, Unit: "restarts", Help: "How often the pair's worker was started again.",
			pair: func(e *encoder, r *supervisor.Row) { e.count(uint64(r.Restarts)) }},
	},
}

var states = []string{string(supervisor.Running), string(supervisor.Waiting), string(supervisor.Backoff), string(supervisor.Failed)}

// anyOf returns labels that can have any value.
func anyOf(names ...string) (labels []Label) {
	for _, name := range names {
		labels = append(labels, Label{Name: name})
	}
	return labels
}

// oneOf writes a sample for each value of a label: 1 for the present value, 0 for the others.
func oneOf(e *encoder, values []string, present string) {
	for _, value := range values {
		e.truth(value == present, value)
	}
}
