// Command mutations puts known defects into a worker, one at a time, and looks how many seeds the simulation needs to
// find each. A defect that it does not find shows what the simulation is blind to. The tree stays as it is: the compiler
// gets the changed files as an overlay.
//
//	go run ./replication/sim/mutations [-seeds 2000] [-run PATTERN]
package main

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"runtime"
	"sync"
	"text/tabwriter"
)

func main() {
	seeds := flag.Int("seeds", 2000, "simulate at most so many seeds of each mutation")
	pattern := flag.String("run", "", "only the mutations whose names match this regular expression")
	flag.Parse()
	if err := run(*seeds, *pattern); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run simulates each mutation, as many at a time as there are processors, and prints what it finds as it comes and then a
// table. The error says that a mutation was not found.
func run(seeds int, pattern string) error {
	only, err := regexp.Compile(pattern)
	if err != nil {
		return err
	}
	root, err := moduleRoot()
	if err != nil {
		return err
	}
	files, err := sources(root)
	if err != nil {
		return err
	}
	var chosen []mutation
	for _, m := range mutations {
		if only.MatchString(m.name) {
			chosen = append(chosen, m)
		}
	}
	dir, err := os.MkdirTemp("", "mutations")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	plain, err := build(root, dir, files, mutation{})
	if err != nil {
		return err
	}
	results := make([]result, len(chosen))
	next := make(chan int)
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for i := range next {
				results[i] = simulate(root, plain, files, chosen[i], seeds)
				fmt.Printf("%s: %v\n", chosen[i].name, results[i])
			}
		})
	}
	for i := range chosen {
		next <- i
	}
	close(next)
	all.Wait()
	return report(chosen, results)
}

// report prints a table of the results. The error says how many mutations were not found.
func report(chosen []mutation, results []result) error {
	missed := 0
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nMUTATION\tSEED\tRULE")
	for i, r := range results {
		fmt.Fprintf(w, "%s\t%s\t%s\n", chosen[i].name, r.seed, r.rule)
		if !r.found() {
			missed++
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if missed > 0 {
		return fmt.Errorf("%d of %d mutations were not found", missed, len(chosen))
	}
	return nil
}
