package table

import (
	"bytes"
	"fmt"
	"slices"
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
	n.names[line] = append(n.names[line], Cell(name))
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
func writeNotes(out *bytes.Buffer, workers []supervisor.Row, o Options) {
	var n notes
	for i := range workers {
		for _, line := range Notes(&workers[i], o) {
			n.add(workers[i].Name, line)
		}
	}
	n.write(out)
}

// Notes are the reasons why a worker is not as it should be, each with its remedy.
func Notes(row *supervisor.Row, o Options) (lines []string) {
	add := func(line string) { lines = append(lines, line) }
	if row.Reason != "" && !slices.ContainsFunc(row.Reasons, func(r replication.Reason) bool { return r.Text == row.Reason }) {
		add(row.Reason)
	}
	for _, reason := range row.Reasons {
		if reason.Code != replication.NotRunning && reason.Code != replication.FullSync { // the lines above and below say it
			add(reason.Line(o.Now))
		}
	}
	for _, warning := range row.Warnings {
		add("warning: " + warning.Line(o.Now))
	}
	if e := row.Exposure; e != nil && e.Refused != "" {
		add(`"tune ss" has no effect, because the module refuses other settings: ` + e.Refused)
	}
	if row.FullSync != nil {
		add("full sync: " + row.FullSync.String())
	}
	if a := row.Advertise; a != nil && (o.Wide || !a.Ended || a.Error != "") {
		add("advertise: " + a.String())
	}
	return lines
}
