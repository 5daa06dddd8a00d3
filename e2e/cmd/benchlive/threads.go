package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"joolctl/e2e/guest"
)

// writeThreads writes the processor time of each thread of the daemons, in all slices together.
func writeThreads(w io.Writer, live guest.Live) {
	for _, traffic := range []string{guest.LiveSteady, guest.LiveNew} {
		for _, variant := range append(slices.Clone(guest.LiveVariants), guest.LiveKeyed) {
			var packets uint64
			j, k := make(map[int]guest.ThreadUse), make(map[int]guest.ThreadUse)
			for _, c := range live.Costs {
				if c.Traffic == traffic && c.Variant == variant {
					packets += c.Packets
					addThreads(j, c.SendThreads)
					addThreads(k, c.RecvThreads)
				}
			}
			if packets > 0 {
				writeUse(w, fmt.Sprintf("%s, %s, J's daemon", variant, traffic), j, packets)
				writeUse(w, fmt.Sprintf("%s, %s, K's daemon", variant, traffic), k, packets)
			}
		}
	}
}

// addThreads adds a slice to the sums of all slices.
func addThreads(sums map[int]guest.ThreadUse, threads []guest.ThreadUse) {
	for _, u := range threads {
		sum := sums[u.ID]
		sum.ID, sum.Name = u.ID, u.Name
		sum.CPU += u.CPU
		sum.User += u.User
		sum.System += u.System
		sum.Waited += u.Waited
		sum.Turns += u.Turns
		sums[u.ID] = sum
	}
}

func writeUse(w io.Writer, title string, threads map[int]guest.ThreadUse, packets uint64) {
	fmt.Fprintf(w, "\n%s, %d packets:\n%-16s %8s %10s %9s %9s %9s %9s\n", title, packets, "thread", "CPU", "per packet", "user", "system", "waited", "turns")
	byUse := slices.SortedFunc(maps.Values(threads), func(a, b guest.ThreadUse) int { return cmp.Compare(b.CPU, a.CPU) })
	for _, u := range byUse {
		fmt.Fprintf(w, "%-5d %-10s %8v %10v %9v %9v %9v %9d\n", u.ID, u.Name, u.CPU.Round(time.Millisecond),
			(u.CPU / time.Duration(packets)).Round(time.Nanosecond), u.User, u.System, u.Waited.Round(time.Millisecond), u.Turns)
	}
}
