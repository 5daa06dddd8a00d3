package top

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/supervisor"
)

const (
	smallSpark, largeSpark, hugeSpark = 4, 8, 24
	narrowName                        = 4
)

// sparks are the rates of the columns that a sparkline follows.
var sparks = map[string]func(sample) float64{"IN/s": in, "OUT/s": out}

// extra are the columns that a narrow screen lacks, the last one first. The details have them.
var extra = []string{"INSTANCE", "SINCE"}

// layout says which columns fit the screen.
type layout struct {
	columns []table.Column
	widths  map[string]int
	gap     int
	spark   int // the width of each sparkline; 0: there are none
}

// width is that of all columns behind the mark of the selected row.
func (l layout) width() int {
	w := len(mark)
	for i, c := range l.columns {
		if i > 0 {
			w += l.gap
		}
		w += l.widths[c.Head]
		if l.spark > 0 && sparks[c.Head] != nil {
			w += 1 + l.spark
		}
	}
	return w
}

// with adds a column at its place.
func (l layout) with(head string) layout {
	var columns []table.Column
	for _, c := range table.Columns {
		if c.Head == head || slices.ContainsFunc(l.columns, func(o table.Column) bool { return o.Head == c.Head }) {
			columns = append(columns, c)
		}
	}
	l.columns = columns
	return l
}

// layout chooses columns: sparklines are more important than gaps, and gaps than the columns that the details have too.
func (m model) layout() layout {
	m.measure()
	l := layout{widths: m.widths, gap: 1}
	for _, c := range table.Columns {
		if !slices.Contains(extra, c.Head) {
			l = l.with(c.Head)
		}
	}
	fits := func(better layout) {
		if better.width() <= m.width {
			l = better
		}
	}
	spark := func(width int) layout { wider := l; wider.spark = width; return wider }
	fits(spark(smallSpark))
	wider := l
	wider.gap = 2
	fits(wider)
	fits(spark(largeSpark))
	for _, head := range extra {
		fits(l.with(head))
	}
	for w := largeSpark + 1; w <= hugeSpark && l.spark == w-1; w++ {
		fits(spark(w))
	}
	return l.narrowed(m.width)
}

// narrowed cuts names until the columns fit, and then leaves out the last columns.
func (l layout) narrowed(width int) layout {
	if over := l.width() - width; over > 0 {
		widths := maps.Clone(l.widths)
		widths["NAME"] = max(widths["NAME"]-over, narrowName)
		l.widths = widths
	}
	for len(l.columns) > 1 && l.width() > width {
		l.columns = l.columns[:len(l.columns)-1]
	}
	return l
}

// measure widens each column to its longest cell.
func (m model) measure() {
	for _, c := range table.Columns {
		w := max(m.widths[c.Head], utf8.RuneCountInString(c.Head))
		for i := range m.status.Workers {
			w = max(w, utf8.RuneCountInString(c.Cell(&m.status.Workers[i], m.now)))
		}
		m.widths[c.Head] = w
	}
}

// head is the line above the rows.
func (l layout) head() string {
	return l.line(func(c table.Column) string { return c.Head }, func(table.Column) string { return "" }, nil)
}

// rowLine is the line of a pair.
func (m model) rowLine(l layout, row *supervisor.Row, selected bool) string {
	h := m.histories[row.Name]
	line := l.line(
		func(c table.Column) string { return c.Cell(row, m.now) },
		func(c table.Column) string { return m.sparkline(h, c.Head, l.spark) },
		func(c table.Column, text string) string {
			if selected {
				return text
			}
			return m.coloured(c, row, text)
		})
	if !selected {
		return strings.Repeat(" ", len(mark)) + line
	}
	return m.styled(reverse, mark+line)
}

// sparkline is that of the column of a rate, as wide as it has room.
func (m model) sparkline(h *history, head string, width int) string {
	if h == nil || width <= 0 {
		return ""
	}
	ramp := blocks
	if m.o.ASCII {
		ramp = ascii
	}
	return sparkline(h.bars(width, m.now, sparks[head]), ramp)
}

// coloured gives the text of a cell its colour.
func (m model) coloured(c table.Column, row *supervisor.Row, text string) string {
	switch {
	case c.Head == "STATE":
		return m.styled(table.Colours[row.State], text)
	case c.Head == "SYNCED" && row.Synced == "no":
		return m.styled(red, text)
	case c.Head == "SYNCED" && row.Synced == "alone":
		return m.styled(yellow, text)
	}
	return text
}

// line aligns cells and their sparklines. style styles an aligned cell; nil: none has a style.
func (l layout) line(cell, spark func(table.Column) string, style func(table.Column, string) string) string {
	var line strings.Builder
	for i, c := range l.columns {
		if i > 0 {
			line.WriteString(strings.Repeat(" ", l.gap))
		}
		width := l.widths[c.Head]
		text := pad(clip(cell(c), width), width, c.Number)
		if style != nil {
			text = style(c, text)
		}
		line.WriteString(text)
		if l.spark > 0 && sparks[c.Head] != nil {
			line.WriteString(" " + pad(spark(c), l.spark, false))
		}
	}
	return line.String()
}
