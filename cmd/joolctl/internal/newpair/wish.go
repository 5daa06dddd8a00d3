// Package newpair makes the files of a new pair from a few values, and proposes those that are missing.
package newpair

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"joolctl/configdir"
)

const (
	// DefaultGroup is upstream's example, so most groups have this address.
	DefaultGroup = "ff08::db8:64:64"
	// firstPort is the first port that is proposed.
	firstPort = 6464
)

// Wish has the values of a new pair. A field is empty if its value is not chosen yet, or not wanted.
type Wish struct {
	// Dir is the directory of pairs, and Name the name of the new one.
	Dir, Name string
	// Instance is the name of the Jool instance, and Namespace its network namespace; empty for joolctl's own.
	Instance, Namespace string
	// Interface is the interface of the link to the other hosts, in Namespace.
	Interface string
	// Group and Port are the multicast group. Peers are the other hosts instead, in a network without multicast; Port is their port then.
	Group, Port string
	Peers       []string
	// KeyFile is the path of the key file. It is made if it does not exist.
	KeyFile string
}

// Instance is an instance of Jool without a pair.
type Instance struct{ Namespace, Name string }

// Host finds what the host has.
type Host struct {
	// Instances returns the instances without a pair.
	Instances func() ([]Instance, error)
	// Interfaces returns the interfaces of a network namespace that can send to a multicast group.
	Interfaces func(namespace string) ([]string, error)
}

// Ask asks the operator for a value, and returns the proposal if the answer is empty.
type Ask func(question, proposal string) (string, error)

// Complete chooses the missing values. Without ask, it chooses a value only if no other is possible or a default is safe; otherwise it
// returns an error that names the flag to add.
func (w *Wish) Complete(h Host, ask Ask) error {
	for _, step := range []func(Host, Ask) error{w.chooseInstance, w.chooseInterface, w.chooseGroup, w.choosePort, w.chooseKey} {
		if err := step(h, ask); err != nil {
			return err
		}
	}
	return nil
}

func (w *Wish) chooseInstance(h Host, ask Ask) error {
	if w.Instance != "" {
		return nil
	}
	found, err := h.Instances()
	if err != nil {
		return fmt.Errorf("looking for instances: %w; name one with --instance", err)
	}
	var names []string
	var possible []Instance
	for _, in := range found {
		if w.Namespace == "" || in.Namespace == w.Namespace {
			possible, names = append(possible, in), append(names, in.String())
		}
	}
	switch {
	case len(possible) == 0:
		return errors.New("there is no instance without a worker; make one, as in `jool instance add default --netfilter --pool6 64:ff9b::/96`, or name one with --instance")
	case ask == nil && len(possible) > 1:
		return fmt.Errorf("several instances have no worker (%s); name one with --instance, and --namespace", strings.Join(names, ", "))
	case ask == nil:
		w.Namespace, w.Instance = possible[0].Namespace, possible[0].Name
		return nil
	}
	answer, err := ask("instance, of "+strings.Join(names, ", "), names[0])
	if err != nil {
		return err
	}
	for i, name := range names {
		if name == answer {
			w.Namespace, w.Instance = possible[i].Namespace, possible[i].Name
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s", answer, strings.Join(names, ", "))
}

// String names the instance and, behind "in", its namespace.
func (in Instance) String() string {
	if in.Namespace == "" {
		return in.Name
	}
	return in.Name + " in " + in.Namespace
}

func (w *Wish) chooseInterface(h Host, ask Ask) error {
	if w.Interface != "" || len(w.Peers) > 0 && ask == nil { // the routes decide how to reach peers
		return nil
	}
	names, err := h.Interfaces(w.Namespace)
	if err != nil {
		return fmt.Errorf("looking for interfaces: %w; name one with --interface", err)
	}
	switch {
	case len(names) == 0:
		return errors.New("there is no interface that is up and can send to a group; name one with --interface")
	case ask == nil && len(names) > 1:
		return fmt.Errorf("several interfaces may lead to the other hosts (%s); name one with --interface", strings.Join(names, ", "))
	case ask == nil:
		w.Interface = names[0]
		return nil
	}
	w.Interface, err = ask("interface of the link to the other hosts, of "+strings.Join(names, ", "), names[0])
	return err
}

func (w *Wish) chooseGroup(_ Host, ask Ask) (err error) {
	if w.Group != "" || len(w.Peers) > 0 {
		return nil
	}
	if w.Group = DefaultGroup; ask != nil {
		w.Group, err = ask("multicast group, the same on all hosts", w.Group)
	}
	return err
}

func (w *Wish) choosePort(_ Host, ask Ask) error {
	if w.Port != "" {
		return nil
	}
	port, err := w.freePort()
	if err != nil {
		return err
	}
	if w.Port = port; ask != nil {
		w.Port, err = ask("UDP port of the group, the same on all hosts", w.Port)
	}
	return err
}

// freePort returns the first port that no pair of the directory uses for the group, or without a group.
func (w *Wish) freePort() (string, error) {
	var group netip.Addr // none for peers
	if len(w.Peers) == 0 {
		var err error
		if group, err = netip.ParseAddr(w.Group); err != nil {
			return "", fmt.Errorf("%q is not an address", w.Group)
		}
	}
	used := make(map[uint16]bool)
	result, err := configdir.Read(w.Dir)
	if err != nil {
		return "", err
	}
	for _, pair := range result.Pairs {
		if pair.Spec.Group == group {
			used[pair.Spec.Port] = true
		}
	}
	port := uint16(firstPort)
	for used[port] {
		port++
	}
	return strconv.Itoa(int(port)), nil
}

func (w *Wish) chooseKey(_ Host, ask Ask) (err error) {
	if w.KeyFile != "" || ask == nil {
		return nil
	}
	w.KeyFile, err = ask("key file for sealed datagrams, such as "+w.Dir+"/"+w.Name+".key (empty: clear datagrams)", "")
	return err
}
