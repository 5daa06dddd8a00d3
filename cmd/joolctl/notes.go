package main

import (
	"bytes"
	"fmt"
	"strings"

	"joolctl/replication"
	"joolctl/supervisor"
)

// maxNamed is how many pairs a note names that concerns several.
const maxNamed = 4

// notes are lines below the table. Pairs that share a line are listed once, before it.
type notes struct {
	lines []string
	names map[string][]string // by line
}

func (n *notes) add(name, line string) {
	if n.names == nil {
		n.names = make(map[string][]string)
	}
	if n.names[line] == nil {
		n.lines = append(n.lines, line)
	}
	n.names[line] = append(n.names[line], cell(name))
}

func (n *notes) write(out *bytes.Buffer) {
	for _, line := range n.lines {
		names := n.names[line]
		who := strings.Join(names, ", ")
		if len(names) > maxNamed {
			who = fmt.Sprintf("%s and %d more", strings.Join(names[:maxNamed-1], ", "), len(names)-maxNamed+1)
		}
		fmt.Fprintf(out, "%s: %s\n", who, line)
	}
}

// writeNotes writes the reasons of all workers, each with its remedy.
func writeNotes(out *bytes.Buffer, workers []supervisor.Row, o tableOptions) {
	var n notes
	for i := range workers {
		n.addRow(&workers[i], o)
	}
	n.write(out)
}

func (n *notes) addRow(row *supervisor.Row, o tableOptions) {
	if row.Reason != "" {
		n.add(row.Name, row.Reason)
	}
	for _, reason := range row.Reasons {
		if reason.Code != replication.NotRunning && reason.Code != replication.FullSync { // the lines above and below say it
			n.add(row.Name, reason.Line(o.now))
		}
	}
	for _, warning := range row.Warnings {
		n.add(row.Name, "warning: "+warning.Line(o.now))
	}
	if e := row.Exposure; e != nil && e.Refused != "" {
		n.add(row.Name, `"tune ss" has no effect, because the module refuses other settings: `+e.Refused)
	}
	if row.FullSync != nil {
		n.add(row.Name, "full sync: "+row.FullSync.String())
	}
	if a := row.Advertise; a != nil && (o.wide || !a.Ended || a.Error != "") {
		n.add(row.Name, "advertise: "+a.String())
	}
}
