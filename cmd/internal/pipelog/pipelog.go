// Package pipelog writes a log to a file that may block: a pipe that is full, or a journal whose disk is full. Writers
// of log lines never wait.
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
	// patience is how long Close waits for the remaining lines to be written.
	patience = 200 * time.Millisecond
)

// Writer passes lines to another writer in the background. When the queue is full, new lines are dropped. Once there is
// room again, a line reports how many were dropped.
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

// New makes a Writer; Close ends it. note returns the line that reports how many lines were dropped.
func New(to io.Writer, note func(lines int) []byte) *Writer {
	w := &Writer{to: to, note: note, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write queues a line or drops it. It never fails and never blocks.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// While the note about earlier dropped lines waits for room, later lines are dropped too. The note then appears
	// where the lines are missing.
	if w.closed || w.dropped > 0 || w.waiting+len(line) > room || len(w.queue) >= lines {
		w.dropped++
		return len(line), nil
	}
	w.add(append([]byte(nil), line...))
	return len(line), nil
}

// add queues a line. The caller holds mu.
func (w *Writer) add(line []byte) {
	w.queue = append(w.queue, line)
	w.waiting += len(line)
	select {
	case w.wake <- struct{}{}:
	default: // it is about to
	}
}

// run writes the queued lines until Close.
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
		_, _ = w.to.Write(line) // an error can't be reported anywhere
		w.written(len(line))
	}
}

// next waits for the next line. It returns nil if there is none, and ended after Close.
func (w *Writer) next() (line []byte, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil, w.closed
	}
	return w.queue[0], false
}

// written frees the room of a written line. The note waits until half of the room is free, so that there is not a note
// for each line.
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

// Close writes the queued lines, within a time limit. It does not wait for a write that hangs.
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
