package joolnl

import (
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// LocalInstances returns the names of the instances in the calling thread's namespace, sorted. The module lists
// the instances of all namespaces without their namespaces' names, so LocalInstances asks for each name whether
// the instance exists in this namespace.
func LocalInstances() ([]string, error) {
	version, err := ModuleVersion()
	if err != nil {
		return nil, err
	}
	if err := version.Supported(); err != nil {
		return nil, err
	}
	family, _, err := resolve()
	if err != nil {
		return nil, err
	}
	asker, err := open(func(*netlink.Conn) error { return nil })
	if err != nil {
		return nil, err
	}
	defer unix.Close(asker)
	c := Conn{Requests: Requests{Family: family, Version: version}, asker: asker}
	all, err := c.allInstances()
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(all))
	for _, in := range all {
		names = append(names, in.Name)
	}
	slices.Sort(names)
	var local []string
	for _, name := range slices.Compact(names) {
		c.Instance = name
		there, err := c.AskHello()
		if err != nil {
			return nil, err
		}
		if there {
			local = append(local, name)
		}
	}
	return local, nil
}

// allInstances returns the instances of all namespaces.
func (c *Conn) allInstances() ([]Instance, error) {
	var all []Instance
	for more := true; more; {
		var after *Instance
		if n := len(all); n > 0 {
			after = &all[n-1]
		}
		err := c.ask(func(dst []byte, seq uint32) ([]byte, error) { return c.Instances(dst, seq, after), nil }, func(m Message) error {
			page, err := ParseInstances(m.Attrs)
			all = append(all, page...)
			more = m.Header.Flags&flagMore != 0 && len(page) > 0
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}
