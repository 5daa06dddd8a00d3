// Package top shows the status of all pairs again and again: on the screen of a terminal, or as plain lines.
package top

import (
	"context"
	"fmt"
	"os"
	"time"

	tea "charm.land/bubbletea/v2"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/supervisor"
)

// Options configure top.
type Options struct {
	// Ask asks the supervisor for its status.
	Ask func(context.Context) (supervisor.Status, error)
	// Events asks for the events after a number; nil: the details show none.
	Events func(ctx context.Context, after uint64) (supervisor.EventList, error)
	// Explain returns an error of Ask in one line, with what to do.
	Explain func(error) string
	// Order is the order of the rows at first.
	Order table.Order
	// Interval is the time between two questions.
	Interval time.Duration
	Colours  bool
	// ASCII draws sparklines without block characters.
	ASCII bool
}

// framesPerSecond bounds how often the screen is drawn.
const framesPerSecond = 20

// Run shows a screen on a terminal until its user quits or the context ends. It returns an error if the supervisor does not answer
// the first question.
func Run(ctx context.Context, o Options, terminal *os.File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	last := uint64(0)
	ask := func() answer { // the model asks again only after the answer
		a := answer{}
		if a.status, a.err = o.Ask(ctx); a.err == nil && o.Events != nil {
			if events, err := o.Events(ctx, last); err == nil { // a supervisor of an older version has none
				a.events, last = events.Events, events.Last
			}
		}
		a.at = time.Now()
		return a
	}
	first := ask()
	switch {
	case ctx.Err() != nil:
		return nil
	case first.err != nil:
		return first.err
	}
	m := newModel(o, func() tea.Msg { return ask() }).answered(first)
	_, err := tea.NewProgram(m, tea.WithContext(ctx), tea.WithOutput(terminal), tea.WithFPS(framesPerSecond), tea.WithoutSignalHandler()).Run()
	switch {
	case ctx.Err() != nil: // SIGTERM is no error
		return nil
	case err != nil:
		return fmt.Errorf("cannot show a screen on this terminal: %w; for plain tables type: joolctl top | cat", err)
	}
	return nil
}
