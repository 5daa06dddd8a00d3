package top

import (
	"slices"
	"strings"
	"unicode/utf8"

	"joolctl/cmd/joolctl/internal/table"
)

// detailsIndent is that of the second and the next lines of a text.
const detailsIndent = 2

// eventsShown is how many events of a pair the details have at most.
const eventsShown = 50

// detailsBody has the lines of the details that fit the screen.
func (m model) detailsBody() []string {
	lines := m.details()
	return lines[min(m.scroll, len(lines)):]
}

// details are the lines about the selected pair.
func (m model) details() (lines []string) {
	row := m.row()
	if row == nil {
		return nil
	}
	add := func(text string) { lines = append(lines, wrap(text, m.width, detailsIndent)...) }
	lines = m.cells()
	lines = append(lines, "")
	for _, head := range []string{"IN/s", "OUT/s"} {
		name := pad(head, len("OUT/s"), false) + " "
		width := min(m.width-len(name), int(span.Seconds())/2)
		lines = append(lines, clip(name+m.sparkline(m.histories[row.Name], head, width), m.width))
	}
	lines = append(lines, "")
	notes := table.Notes(row, table.Options{Now: m.now, Wide: true})
	for _, note := range notes {
		add(note)
	}
	if len(notes) == 0 {
		add("nothing keeps this host from taking over")
	}
	lines = append(lines, "")
	for _, d := range table.Details(row, m.now) {
		add(d.Subject + ": " + d.Text)
	}
	lines = append(lines, "")
	add("events, the latest first:")
	events := m.events[row.Name]
	for _, e := range slices.Backward(events) {
		add(table.EventOfPair(e, m.now))
	}
	if len(events) == 0 {
		add("none since the supervisor has started")
	}
	return lines
}

// cells have the columns of the pair's row, as many in a line as fit.
func (m model) cells() (lines []string) {
	const gap = "   "
	line := ""
	for _, c := range table.Columns {
		if c.Head == "NAME" {
			continue
		}
		text := clip(c.Head+" "+c.Cell(m.row(), m.now), m.width)
		switch {
		case line == "":
			line = text
		case utf8.RuneCountInString(line+gap+text) <= m.width:
			line += gap + text
		default:
			lines, line = append(lines, line), text
		}
	}
	text := ""
	if group := m.row().Group; group != "" {
		text = "GROUP " + group
	} else if peers := m.row().PeerNames(); peers != "" {
		text = "UNICAST " + peers
	}
	switch {
	case text == "":
	case utf8.RuneCountInString(line+gap+text) <= m.width:
		return append(lines, line+gap+text)
	default:
		return append(lines, line, clip(text, m.width))
	}
	return append(lines, strings.TrimRight(line, " "))
}
