package main

import (
	"fmt"
	"io"
	"time"

	"joolctl/e2e/guest"
)

// writeThreads writes the processor time of each thread of the daemons.
func writeThreads(w io.Writer, live guest.Live) {
	for _, c := range live.Costs {
		for _, d := range []struct {
			host    string
			threads []guest.ThreadUse
		}{{"J", c.SendThreads}, {"K", c.RecvThreads}} {
			fmt.Fprintf(w, "\nround %d, %s, %s, %s's daemon, %d packets:\n", c.Round, c.Variant, c.Traffic, d.host, c.Packets)
			fmt.Fprintln(w, "thread            CPU      per packet    (user   system)   waited      turns")
			for _, u := range d.threads {
				fmt.Fprintf(w, "%-5d %-10s %7v %10v  %7v %7v %9v %9d\n", u.ID, u.Name, u.CPU.Round(time.Millisecond),
					(u.CPU / time.Duration(max(1, c.Packets))).Round(time.Nanosecond), u.User, u.System, u.Waited.Round(time.Millisecond), u.Turns)
			}
		}
	}
}
