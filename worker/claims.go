package worker

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"joolctl/configdir"
	"joolctl/nsthread"
)

// Claims are the resources that only one worker of a process may use: an instance, and a group and port on an interface, or a port
// on an address.
// Pairs may spell one namespace or interface in different ways, so workers claim the kernel's numbers when they open their sockets.
type Claims struct {
	mu         sync.Mutex
	byResource map[resource][]*claim
}

// NewClaims returns an empty set of claims.
func NewClaims() *Claims { return &Claims{byResource: make(map[resource][]*claim)} }

// resource is an instance, or a group and port. Without a group, it is the unspecified address of the family and a port.
type resource struct {
	namespace nsthread.ID
	instance  string
	group     netip.Addr
	port      uint16
}

// claim is a resource that a worker uses or requests.
type claim struct {
	resource
	by *Worker
	in int // index of the group's interface; 0: all interfaces, or no group
	// at is the address that a socket without a group is bound to; the zero Addr: it is bound to none, or has a group.
	at netip.Addr
	// what is the name of the resource. spelled has its namespace and interface as the pair's files write them.
	what, spelled string
	advice        string // for the operator, if another pair has the resource
}

// claimInstance claims the spec's instance, in a namespace.
func (w *Worker) claimInstance(ns nsthread.ID, spec configdir.Spec) (*claim, error) {
	return w.env.Claims.take(&claim{
		resource: resource{namespace: ns, instance: spec.Instance}, by: w,
		spelled: inNamespace(spec.Namespace), what: fmt.Sprintf("instance %q", spec.Instance),
		advice: "remove one of the two, or name another instance",
	})
}

// claimSocket claims the spec's group and port on an interface of a namespace.
func (w *Worker) claimSocket(ns nsthread.ID, in int, spec configdir.Spec) (*claim, error) {
	if spec.Unicast() {
		return w.claimPort(ns, spec)
	}
	on := "on every interface"
	if spec.InInterface != "" {
		on = "on " + spec.InInterface
	}
	return w.env.Claims.take(&claim{
		resource: resource{namespace: ns, group: spec.Group, port: spec.Port}, by: w, in: in,
		spelled: on + " " + inNamespace(spec.NetNamespace), what: fmt.Sprintf("group %v port %d", spec.Group, spec.Port),
		advice: "give one of the two another group or port",
	})
}

// claimPort claims the port of a spec without a group. The kernel gives a datagram to one socket only, on whatever interface it
// arrives.
func (w *Worker) claimPort(ns nsthread.ID, spec configdir.Spec) (*claim, error) {
	k := &claim{
		resource: resource{namespace: ns, group: netip.IPv6Unspecified(), port: spec.Port}, by: w,
		spelled: "on every address " + inNamespace(spec.NetNamespace), what: fmt.Sprintf("UDP port %d", spec.Port),
		advice: "give one of the two another port, or each an address of its own as \"in interface\"",
	}
	if spec.Is4() {
		k.group = netip.IPv4Unspecified()
	}
	if at := spec.Bound().Addr(); !at.IsUnspecified() {
		k.at, k.spelled = at, fmt.Sprintf("on %v %s", at, inNamespace(spec.NetNamespace))
	}
	return w.env.Claims.take(k)
}

// take adds a claim, unless a worker of another pair has the resource: then it returns a *Missing.
func (c *Claims) take(want *claim) (*claim, error) {
	if c == nil {
		return want, nil
	}
	pair := want.by.spec().Name
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, other := range c.byResource[want.resource] {
		// A pair's next worker may start before its previous worker has ended.
		if by := other.by.spec().Name; by != pair && other.overlaps(want) {
			return nil, &Missing{By: by, What: fmt.Sprintf("%s %s is pair %q's too, which has it %s; %s",
				want.what, want.spelled, by, other.spelled, want.advice)}
		}
	}
	c.byResource[want.resource] = append(c.byResource[want.resource], want)
	want.by.claims = append(want.by.claims, want)
	return want, nil
}

func (k *claim) overlaps(other *claim) bool {
	return (k.in == other.in || k.in == 0 || other.in == 0) && (k.at == other.at || !k.at.IsValid() || !other.at.IsValid())
}

// drop removes a claim. It does nothing if the claim is nil or was removed before.
func (c *Claims) drop(k *claim) {
	if c == nil || k == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(k)
}

// dropAll removes all claims of a worker.
func (c *Claims) dropAll(w *Worker) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(w.claims) > 0 {
		c.remove(w.claims[0])
	}
}

// remove is drop with mu held.
func (c *Claims) remove(k *claim) {
	is := func(other *claim) bool { return other == k }
	k.by.claims = slices.DeleteFunc(k.by.claims, is)
	rest := slices.DeleteFunc(c.byResource[k.resource], is)
	if len(rest) == 0 {
		delete(c.byResource, k.resource)
		return
	}
	c.byResource[k.resource] = rest
}
