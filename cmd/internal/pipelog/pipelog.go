// Package pipelog writes a log that nobody may take: to a full pipe, or to a
// journal whose disk is full. Whoever logs never waits for it.
package pipelog

import (
	"io"
	"sync"
	"time"
)

const (
	// room is how many bytes may wait to be written, and lines how many lines.
	room  = 256 << 10
	lines = 4096
	// patience is what Close gives to what waits.
	patience = 200 * time.Millisecond
)

// Writer hands lines on to another writer in the background. When more waits than
// there is room for, new lines are dropped, and once there is room again a line
// tells how many.
type Writer struct {
	to   io.Writer
	note func(lines int) []byte

	mu      sync.Mutex
	queue   [][]byte
	waiting int // bytes
	dropped int
	closed  bool
	wake    chan struct{}
	done    chan struct{}
}

// New makes a Writer; Close ends it. note returns the line that says how many lines were dropped.
func New(to io.Writer, note func(lines int) []byte) *Writer {
	w := &Writer{to: to, note: note, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes a line, or drops it. It never fails and never waits.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// As long as the note of what was dropped before waits for room, what comes
	// behind it is dropped too: the note then stands where lines are missing.
	if w.closed || w.dropped > 0 || w.waiting+len(line) > room || len(w.queue) >= lines {
		w.dropped++
		return len(line), nil
	}
	w.add(append([]byte(nil), line...))
	return len(line), nil
}

// add queues a line. With mu held.
func (w *Writer) add(line []byte) {
	w.queue = append(w.queue, line)
	w.waiting += len(line)
	select {
	case w.wake <- struct{}{}:
	default: // it is about to
	}
}

// run writes what waits, until Close.
func (w *Writer) run() {
	defer close(w.done)
	for {
		line, ended := w.next()
		if ended {
			return
		}
		if line == nil {
			<-w.wake
			continue
		}
		_, _ = w.to.Write(line) // there is nobody to tell
		w.written(len(line))
	}
}

// next is the line to write, nil if there is none.
func (w *Writer) next() (line []byte, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil, w.closed
	}
	return w.queue[0], false
}

// written makes room. Half of it has to be free before the note goes in, so that
// there is not a note for each line.
func (w *Writer) written(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue[0] = nil
	w.queue = w.queue[1:]
	w.waiting -= n
	if w.dropped > 0 && w.waiting <= room/2 && len(w.queue) <= lines/2 {
		dropped := w.dropped
		w.dropped = 0
		w.add(w.note(dropped))
	}
	if len(w.queue) == 0 {
		w.queue = nil
	}
}

// Close writes what waits, as far as it is taken in time. A write that hangs is
// left behind.
func (w *Writer) Close() {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default: // it is about to
	}
	select {
	case <-w.done:
	case <-time.After(patience):
	}
}
