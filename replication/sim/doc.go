// Package sim simulates a group of hosts in virtual time, from a seed: their Jool modules, the network between them,
// the traffic that they translate, and faults. One goroutine runs everything, and the same seed yields the same trace.
//
// The code under test is a Replica. The simulation calls it with reports of its module and with datagrams of its peers,
// and the Replica acts through its Env. Truth compares the modules' tables directly, so that it does not depend on what
// a Replica believes.
package sim
