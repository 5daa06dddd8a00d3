package doctor

import "context"

// hostChecks are the checks of the host, in the order of the report.
var hostChecks = []struct {
	name string
	run  func(context.Context, *host) []Finding
}{
	{"privileges", checkPrivileges},
	{"module", checkModule},
	{"module-defects", checkDefects},
	{"tools", checkTools},
	{"supervisor", checkSupervisor},
	{"directory", checkDirectory},
	{"descriptors", checkDescriptors},
	{"clock", checkClock},
	{"keepalived", checkKeepalived},
}

// pairChecks are the checks of each pair, in the order of the report. Those that are not for broken pairs need files that are fit to run.
var pairChecks = []struct {
	name   string
	broken bool
	run    func(context.Context, *subject) []Finding
}{
	{"files", true, checkFiles},
	{"instance", false, checkInstance},
	{"settings", false, checkSettings},
	{"packet-size", false, checkPacketSize},
	{"interface", false, checkInterfaces},
	{"vrf", false, checkVRF},
	{"source-address", false, checkSource},
	{"routes", false, checkRoutes},
	{"hop-limit", false, checkHopLimit},
	{"membership", false, checkMembership},
	{"snooping", false, checkSnooping},
	{"port", false, checkPort},
	{"buffers", false, checkBuffers},
	{"other-daemons", false, checkOtherDaemons},
	{"firewall", false, checkFirewall},
	{"keys", false, checkKeys},
	{"worker", false, checkWorker},
	{"peers", false, checkPeers},
}
