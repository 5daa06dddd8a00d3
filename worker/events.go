package worker

import (
	"fmt"
	"time"

	"joolctl/eventlog"
)

const (
	// eventsAtOnce is how many events of a kind a worker keeps within eventsEvery. Received datagrams can cause events, and must not
	// be able to remove all others from the log.
	eventsAtOnce = 10
	eventsEvery  = 10 * time.Second
)

// eventLimit counts the events of a kind.
type eventLimit struct {
	began   time.Time // when the present period began
	kept    int
	leftOut int // since the last one that was kept
}

// event keeps an event of the pair, unless there are too many of its kind. The next one that is kept says how many were left out.
func (w *Worker) event(e eventlog.Event) {
	now := time.Now()
	w.mu.Lock()
	e.Pair = w.current.Name
	if w.limits == nil {
		w.limits = make(map[eventlog.Kind]*eventLimit)
	}
	l := w.limits[e.Kind]
	if l == nil {
		l = &eventLimit{}
		w.limits[e.Kind] = l
	}
	if now.Sub(l.began) >= eventsEvery {
		l.began, l.kept = now, 0
	}
	keeps := l.kept < eventsAtOnce
	if keeps {
		l.kept++
		if l.leftOut > 0 {
			e.Text += fmt.Sprintf(" (%d events of this kind were left out before)", l.leftOut)
		}
		l.leftOut = 0
	} else {
		l.leftOut++
	}
	w.mu.Unlock()
	if keeps {
		w.env.EventLog.Add(e)
	}
}
