package top

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"joolctl/cmd/joolctl/internal/table"
)

const (
	// mark is before the selected row.
	mark = "> "
	// noteLines is how many lines below the rows are for the reasons of the selected pair.
	noteLines = 5
	// alertLines is how many lines a problem of all pairs may have.
	alertLines = 2
)

// View implements tea.Model.
func (m model) View() tea.View {
	view := tea.NewView(strings.Join(m.screen(), "\n"))
	view.AltScreen = true
	return view
}

// screen is exactly as high as the terminal.
func (m model) screen() []string {
	var body []string
	keys := "↑↓ enter  sort: n name, v severity, r rates, l lag, s sessions  ? help  q quit"
	switch m.page {
	case helpPage:
		body, keys = m.helpBody(), "esc back  q quit"
	case detailsPage:
		body, keys = m.detailsBody(), "↑↓ scroll  esc back  ? help  q quit"
	default:
		body = m.pairsBody()
	}
	lines := append(m.head(), body...)
	for len(lines) < m.height-1 {
		lines = append(lines, "")
	}
	return append(lines[:max(m.height-1, 0)], clip(keys, m.width))
}

// head has the title, and the alert if there is one.
func (m model) head() []string {
	title := fmt.Sprintf("joolctl top  %s  by %s", table.States(m.status.Workers), m.order.Name)
	if row := m.row(); m.page == detailsPage && row != nil {
		title = "joolctl top  " + table.Cell(row.Name)
	}
	clock := m.now.Format(time.TimeOnly)
	room := m.width - utf8.RuneCountInString(clock) - 1
	lines := []string{m.styled(bold, clip(pad(clip(title, room), room, false)+" "+clock, m.width))}
	for _, line := range m.alert() {
		lines = append(lines, m.styled(bold+red, line))
	}
	return lines
}

// above is how many lines are above the body of a page.
func (m model) above() int { return 1 + len(m.alert()) }

// alert says that the rows are old, or that the directory can't be read.
func (m model) alert() []string {
	text := m.status.Reason
	age := m.now.Sub(m.answeredAt)
	switch {
	case m.err != nil:
		text = fmt.Sprintf("The rows are %s old: %s", table.Age(age), m.o.Explain(m.err))
	case m.asking && age > 2*m.o.Interval:
		text = fmt.Sprintf("The rows are %s old: the supervisor has not answered yet", table.Age(age))
	}
	lines := wrap(text, m.width, 0)
	return lines[:min(len(lines), alertLines)]
}

// room is how many rows fit beside the head, the heads of the columns, an empty line, the notes and the keys.
func (m model) room() int { return max(m.height-m.above()-1-1-noteLines-1, 1) }

// pairsBody has the rows, and the notes of the selected one.
func (m model) pairsBody() []string {
	l := m.layout()
	lines := []string{m.styled(bold, clip("  "+l.head(), m.width))}
	room := m.room()
	for i := m.first; i < min(m.first+room, len(m.status.Workers)); i++ {
		lines = append(lines, m.rowLine(l, &m.status.Workers[i], i == m.cursor))
	}
	for len(lines) < 1+room {
		lines = append(lines, "")
	}
	return append(append(lines, ""), m.notes(l)...)
}

// notes are the reasons of the selected pair, as many as fit. Its sparklines come first if those in its row are small.
func (m model) notes(l layout) (lines []string) {
	row := m.row()
	if row == nil {
		return []string{clip("There are no pairs.", m.width)}
	}
	if l.spark < largeSpark {
		h, width := m.histories[row.Name], (m.width-len("IN/s   OUT/s "))/2
		lines = append(lines, clip("IN/s "+m.sparkline(h, "IN/s", width)+"  OUT/s "+m.sparkline(h, "OUT/s", width), m.width))
	}
	notes := table.Notes(row, table.Options{Now: m.now})
	if len(notes) == 0 {
		return append(lines, clip(table.Cell(row.Name)+": nothing keeps this host from taking over", m.width))
	}
	for _, note := range notes {
		lines = append(lines, wrap(table.Cell(row.Name)+": "+note, m.width, 2)...)
	}
	if len(lines) > noteLines {
		const more = "  …  enter shows all"
		lines = append(lines[:noteLines-1], clip(more, m.width))
	}
	return lines
}

// styled gives a text a style, if there are colours.
func (m model) styled(style, text string) string {
	if !m.o.Colours || style == "" {
		return text
	}
	return style + text + plain
}
