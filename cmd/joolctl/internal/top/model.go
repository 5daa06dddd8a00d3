package top

import (
	"maps"
	"slices"
	"time"

	tea "charm.land/bubbletea/v2"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/eventlog"
	"joolctl/supervisor"
)

// page names a page of the screen.
type page int

const (
	pairsPage page = iota
	detailsPage
	helpPage
)

// answer is the supervisor's answer to a question, and when it arrived.
type answer struct {
	at     time.Time
	status supervisor.Status
	events []eventlog.Event // those that happened since the answer before
	err    error
}

// tick comes at each interval.
type tick time.Time

// model has all state of the screen. Update returns a changed copy, which shares the maps and the rows.
type model struct {
	o             Options
	ask           tea.Cmd
	width, height int
	page, back    page // back is the page below the help
	order         table.Order

	now        time.Time
	asking     bool
	status     supervisor.Status
	answeredAt time.Time
	err        error // of the last answer
	histories  map[string]*history
	events     map[string][]eventlog.Event // of each pair the latest, the oldest first
	widths     map[string]int              // by column; they only grow, so that columns stay in their places

	selected string // the name of a pair
	cursor   int    // the index of its row
	first    int    // the index of the first row on the screen
	scroll   int    // the index of the first line of the details on the screen
}

func newModel(o Options, ask tea.Cmd) model {
	return model{o: o, ask: ask, width: 80, height: 24, order: o.Order, histories: make(map[string]*history), events: make(map[string][]eventlog.Event), widths: make(map[string]int)}
}

// Init implements tea.Model.
func (m model) Init() tea.Cmd { return m.wait() }

func (m model) wait() tea.Cmd {
	return tea.Tick(m.o.Interval, func(at time.Time) tea.Msg { return tick(at) })
}

// Update implements tea.Model.
func (m model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
		clear(m.widths)
		return m.placed(), nil
	case tick:
		m.now = time.Time(msg)
		if m.asking {
			return m, m.wait()
		}
		m.asking = true
		return m, tea.Batch(m.ask, m.wait())
	case answer:
		return m.answered(msg), nil
	case tea.KeyPressMsg:
		return m.pressed(msg.String())
	}
	return m, nil
}

// answered takes over the answer of the supervisor. Without one the old rows stay.
func (m model) answered(a answer) model {
	m.asking, m.now, m.err = false, a.at, a.err
	if a.err != nil {
		return m.placed()
	}
	m.status, m.answeredAt = a.status, a.at
	known := make(map[string]*history)
	for i := range m.status.Workers {
		row := &m.status.Workers[i]
		h := m.histories[row.Name]
		if h == nil {
			h = &history{}
		}
		h.add(row, a.at)
		known[row.Name] = h
	}
	before := m.histories
	m.histories = known
	for _, e := range a.events {
		kept := append(m.events[e.Pair], e)
		m.events[e.Pair] = kept[max(len(kept)-eventsShown, 0):]
	}
	maps.DeleteFunc(m.events, func(pair string, _ []eventlog.Event) bool { return known[pair] == nil && before[pair] != nil })
	return m.sorted()
}

// sorted sorts the rows. The selected pair stays selected.
func (m model) sorted() model {
	m.order.Sort(m.status.Workers)
	if i := m.index(); i >= 0 {
		m.cursor = i
	} else if m.page == detailsPage {
		m.page = pairsPage
	}
	return m.placed()
}

// index is that of the selected pair's row; -1: there is no such pair any more.
func (m model) index() int {
	return slices.IndexFunc(m.status.Workers, func(r supervisor.Row) bool { return r.Name == m.selected })
}

// placed moves the cursor to a row that exists, and the rows so that the cursor is on the screen.
func (m model) placed() model {
	rows := len(m.status.Workers)
	m.cursor = max(min(m.cursor, rows-1), 0)
	m.selected = ""
	if rows > 0 {
		m.selected = m.status.Workers[m.cursor].Name
	}
	room := m.room()
	m.first = max(min(m.first, m.cursor, rows-room), m.cursor-room+1, 0)
	if m.page == detailsPage {
		m.scroll = max(min(m.scroll, len(m.details())-m.height+m.above()+1), 0)
	}
	return m
}

// row is the selected pair's; nil: there are no pairs.
func (m model) row() *supervisor.Row {
	if m.cursor >= len(m.status.Workers) {
		return nil
	}
	return &m.status.Workers[m.cursor]
}
