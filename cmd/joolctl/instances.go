package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/configdir"
	"joolctl/joolnl"
	"joolctl/nsthread"
	"joolctl/supervisor"
)

// namespacesDir has a file for each named network namespace.
const namespacesDir = "/run/netns"

// foundInstance is a Jool instance of this host.
type foundInstance struct {
	// Namespace is the network namespace of the instance. It is empty for the one that joolctl runs in.
	Namespace string `json:"namespace"`
	// Instance is the name of the instance.
	Instance string `json:"instance"`
	// Pair is the name of the pair that synchronises the instance. It is missing if there is none.
	Pair string `json:"pair,omitempty"`
	// State is the state of the pair's worker. It is missing if there is none, or no supervisor answers.
	State supervisor.State `json:"state,omitempty"`
}

// foundInstances is the answer of `joolctl instances -o json`.
type foundInstances struct {
	// Instances are the instances of this host, by namespace and name.
	Instances []foundInstance `json:"instances"`
}

func newInstances(p *program) *cobra.Command {
	var out *output
	cmd := &cobra.Command{
		Use:   "instances [DIR]",
		Short: "List the Jool instances of this host, and those without a worker",
		Long: `List the NAT64 instances of Jool on this host: those in joolctl's own network
namespace, in each namespace of ` + namespacesDir + `, and in each that a pair names. Pairs
are those of the supervisor or, if none answers, of a directory (default
` + defaultDir + `). Needs root.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			pairs, err := p.pairsOf(cmd.Context(), args)
			if err != nil {
				return failed{err}
			}
			found, err := p.findInstances(pairs)
			if err != nil {
				return failed{err}
			}
			return p.printInstances(found, out)
		},
	}
	out = newOutput(cmd, "table", "json")
	return cmd
}

// pairsOf returns the pairs of the supervisor. If no supervisor answers or a directory is named, it returns the pairs of
// the directory. A directory that does not exist has none.
func (p *program) pairsOf(ctx context.Context, args []string) ([]foundInstance, error) {
	if len(args) == 0 {
		var pairs []foundInstance
		status, err := p.client().Status(ctx, nil)
		if err == nil {
			for _, row := range status.Workers {
				pairs = append(pairs, foundInstance{row.Namespace, row.Instance, row.Name, row.State})
			}
			return pairs, nil
		}
		if !errors.As(err, new(*supervisor.NoSupervisor)) {
			return nil, err
		}
	}
	pairs, err := pairsIn(directory(args))
	if len(args) == 0 && errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return pairs, err
}

// findInstances returns the instances of this host with the pairs that they belong to. It reports on stderr each
// namespace that it could not enter.
func (p *program) findInstances(pairs []foundInstance) ([]foundInstance, error) {
	if _, err := joolnl.ModuleVersion(); errors.Is(err, joolnl.ErrNoModule) {
		return nil, fmt.Errorf("%w; type: modprobe jool", err)
	}
	pool := nsthread.NewPool()
	owner := make(map[nsthread.ID]map[string]foundInstance)
	var order []string
	for _, pair := range pairs {
		order = append(order, pair.Namespace)
		id, err := nsthread.Identify(pair.Namespace)
		if err != nil {
			continue // reported below
		}
		if owner[id] == nil {
			owner[id] = make(map[string]foundInstance)
		}
		owner[id][pair.Instance] = pair
	}
	var found []foundInstance
	seen := make(map[nsthread.ID]bool)
	for _, ns := range append(append([]string{""}, namedNamespaces()...), order...) {
		id, err := nsthread.Identify(ns)
		if isGone(err) {
			continue
		}
		if err != nil {
			fmt.Fprintf(p.stderr, "joolctl: namespace %q: %v\n", ns, err)
			continue
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		names, err := instancesIn(pool, ns)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			in := owner[id][name]
			in.Namespace, in.Instance = ns, name
			found = append(found, in)
		}
	}
	slices.SortStableFunc(found, func(a, b foundInstance) int {
		return cmp.Or(configdir.NaturalCompare(a.Namespace, b.Namespace), configdir.NaturalCompare(a.Instance, b.Instance))
	})
	return found, nil
}

// isGone reports whether a namespace has been deleted since it was listed: it has no instances.
func isGone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, nsthread.ErrNotNamespace)
}

// namedNamespaces returns the named network namespaces.
func namedNamespaces() (names []string) {
	entries, _ := os.ReadDir(namespacesDir) // it does not exist before the first `ip netns add`
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// instancesIn returns the names of the instances in a network namespace.
func instancesIn(pool *nsthread.Pool, ns string) (names []string, err error) {
	thread, err := pool.Get(ns)
	if err != nil {
		return nil, fmt.Errorf("entering namespace %q: %w", ns, err)
	}
	defer thread.Release()
	if doErr := thread.Do(func() { names, err = joolnl.LocalInstances() }); doErr != nil {
		return nil, doErr
	}
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w; run it as root", err)
	}
	return names, err
}

func (p *program) printInstances(found []foundInstance, out *output) error {
	if out.json() {
		if err := writeJSON(p.stdout, foundInstances{append([]foundInstance{}, found...)}); err != nil {
			return failed{err}
		}
		return nil
	}
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAMESPACE\tINSTANCE\tPAIR\tSTATE")
	idle := 0
	for _, in := range found {
		if in.Pair == "" {
			idle++
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", table.Cell(in.Namespace), table.Cell(in.Instance), table.Cell(in.Pair), table.Cell(string(in.State)))
	}
	if err := w.Flush(); err != nil {
		return failed{err}
	}
	if idle > 0 {
		fmt.Fprintf(p.stdout, "%s no worker; `joolctl init` writes the files for one\n", table.Count(idle, "instance has", "instances have"))
	}
	return nil
}
