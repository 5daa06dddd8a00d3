package top

import (
	tea "charm.land/bubbletea/v2"

	"joolctl/cmd/joolctl/internal/table"
)

// orderKeys are the keys that sort the rows.
var orderKeys = map[string]string{"n": "name", "v": "severity", "r": "rates", "l": "lag", "s": "sessions"}

// pressed changes what a key changes.
func (m model) pressed(key string) (tea.Model, tea.Cmd) {
	switch key {
	case "q", "ctrl+c":
		return m, tea.Quit
	case "ctrl+z":
		return m, tea.Suspend
	case "?":
		if m.page == helpPage {
			m.page = m.back
		} else {
			m.back, m.page = m.page, helpPage
		}
		return m, nil
	case "esc":
		switch m.page {
		case helpPage:
			m.page = m.back
		case detailsPage:
			m.page = pairsPage
		default:
			return m, tea.Quit
		}
		return m, nil
	case "enter":
		switch {
		case m.page == helpPage:
			m.page = m.back
		case m.page == detailsPage:
			m.page = pairsPage
		case m.row() != nil:
			m.page, m.scroll = detailsPage, 0
		}
		return m, nil
	}
	if name, is := orderKeys[key]; is && m.page == pairsPage {
		m.order, _ = table.OrderOf(name)
		m.cursor, m.selected = 0, "" // the first row of the new order is of interest
		return m.sorted(), nil
	}
	return m.moved(key), nil
}

// moved moves the cursor, or the lines of the details.
func (m model) moved(key string) model {
	by := map[string]int{
		"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -m.room(), "pgdown": m.room(),
		"home": -len(m.status.Workers) - len(m.details()), "end": len(m.status.Workers) + len(m.details()),
	}[key]
	switch m.page {
	case pairsPage:
		m.cursor += by
	case detailsPage:
		m.scroll += by
	}
	return m.placed()
}
