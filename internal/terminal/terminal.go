// Package terminal shows on a terminal what a program waits for.
package terminal

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Is reports whether a writer is a terminal.
func Is(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	_, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	return err == nil
}

// Line is the last line of a terminal. It says what the program waits for, and for how long it has done so.
type Line struct {
	w     io.Writer // nil: nothing is shown
	width int
	began time.Time
	shown bool
}

// defaultWidth is the width of a terminal that does not say how wide it is.
const defaultWidth = 80

// NewLine returns a line of a terminal. If w is not a terminal, or cannot move its cursor, nothing is shown.
func NewLine(w io.Writer, now time.Time) *Line {
	if !Is(w) || os.Getenv("TERM") == "dumb" {
		return &Line{}
	}
	l := &Line{w: w, width: defaultWidth, began: now}
	if size, err := unix.IoctlGetWinsize(int(w.(*os.File).Fd()), unix.TIOCGWINSZ); err == nil && size.Col > 0 {
		l.width = int(size.Col)
	}
	return l
}

// clearLine moves the cursor to the beginning of the line and clears it.
const clearLine = "\r\x1b[K"

// Show replaces the text.
func (l *Line) Show(text string, now time.Time) {
	if l.w == nil {
		return
	}
	l.shown = true
	line := []rune(fmt.Sprintf("%v  %s", now.Sub(l.began).Truncate(time.Second), text))
	if len(line) >= l.width { // or the terminal would begin another line
		line = append(line[:max(l.width-2, 0)], '…')
	}
	fmt.Fprint(l.w, clearLine+string(line))
}

// Clear removes the line.
func (l *Line) Clear() {
	if l.shown {
		fmt.Fprint(l.w, clearLine)
		l.shown = false
	}
}

// Tick shows a text, and each second for how long it has been shown, until stop is called.
func Tick(w io.Writer, text string) (stop func()) {
	l := NewLine(w, time.Now())
	if l.w == nil {
		return func() {}
	}
	ended := make(chan struct{})
	var ticking sync.WaitGroup
	ticking.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				l.Clear()
				return
			case now := <-tick.C:
				l.Show(text, now)
			}
		}
	})
	return sync.OnceFunc(func() {
		close(ended)
		ticking.Wait()
	})
}
