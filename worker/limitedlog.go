package worker

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// logEvery is the shortest time between two log lines with the same message. Received packets can cause log lines, and must
// not be able to fill a disk.
const logEvery = 10 * time.Second

// limitedLog logs each message at most once per logEvery. The next line says how many were suppressed before it.
type limitedLog struct {
	logger atomic.Pointer[slog.Logger]
	mu     sync.Mutex
	last   map[string]*lastLogged
}

type lastLogged struct {
	at         time.Time
	suppressed int
}

func newLimitedLog(to *slog.Logger) *limitedLog {
	l := &limitedLog{last: make(map[string]*lastLogged)}
	l.logger.Store(to)
	return l
}

// to returns the log without the limit.
func (l *limitedLog) to() *slog.Logger { return l.logger.Load() }

// warn logs a message with its attributes. The limit applies to each message separately, so messages must be constants.
func (l *limitedLog) warn(message string, args ...any) {
	if before, due := l.due(message, time.Now()); due {
		l.put(message, before, args...)
	}
}

// due reports whether a message is to be logged now, and how many were suppressed before it. A caller that logs for each of many
// datagrams asks before it makes the attributes, which cost more, and passes suppressed to put.
func (l *limitedLog) due(message string, now time.Time) (suppressed int, due bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.last[message]
	if last == nil {
		last = &lastLogged{}
		l.last[message] = last
	}
	if now.Sub(last.at) < logEvery {
		last.suppressed++
		return 0, false
	}
	suppressed = last.suppressed
	last.at, last.suppressed = now, 0
	return suppressed, true
}

// put logs a message that is due.
func (l *limitedLog) put(message string, suppressed int, args ...any) {
	if suppressed > 0 {
		args = append(args, "left out before", suppressed)
	}
	l.to().Warn(message, args...)
}
