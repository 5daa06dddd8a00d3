// Package logging makes the log of a program: as text or JSON on stderr, or with fields in systemd's journal.
package logging

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"joolctl/cmd/internal/pipelog"
)

// Options are the values of the flags of Flags.
type Options struct {
	format format
	level  level
}

// The formats of a log.
const (
	asAuto    = "auto" // journal if stderr is the journal's, otherwise text
	asText    = "text"
	asJSON    = "json"
	asJournal = "journal"
)

// Flags adds --log-format and --log-level to a command.
func Flags(cmd *cobra.Command) *Options {
	o := &Options{format: asAuto}
	cmd.Flags().Var(&o.format, "log-format", "the `format` of the log: text or json on stderr, journal for fields in systemd's journal,\n"+
		"or auto: journal where systemd has connected stderr to it, otherwise text")
	cmd.Flags().Var(&o.level, "log-level", "the lowest `level` that is logged: debug, info, warn or error")
	complete(cmd, "log-format", formats)
	complete(cmd, "log-level", Levels)
	return o
}

func complete(cmd *cobra.Command, flag string, values []string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // fails for unknown flags only
}

// format is the value of a flag (pflag.Value).
type format string

var formats = []string{asAuto, asText, asJSON, asJournal}

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "format" }
func (f *format) Set(value string) error {
	if !slices.Contains(formats, value) {
		return fmt.Errorf("there is no format %q; write %s", value, words(formats))
	}
	*f = format(value)
	return nil
}

// Levels are the names of the levels, the lowest first.
var Levels = []string{"debug", "info", "warn", "error"}

// ParseLevel returns the level that has a name.
func ParseLevel(name string) (l slog.Level, err error) {
	if !slices.Contains(Levels, name) {
		return 0, fmt.Errorf("there is no level %q; write %s", name, words(Levels))
	}
	return l, l.UnmarshalText([]byte(name))
}

// LevelName returns the name of a level.
func LevelName(l slog.Level) string { return strings.ToLower(l.String()) }

// level is the value of a flag (pflag.Value). Its zero value is info.
type level slog.Level

func (l *level) String() string { return LevelName(slog.Level(*l)) }
func (l *level) Type() string   { return "level" }
func (l *level) Set(name string) error {
	parsed, err := ParseLevel(name)
	*l = level(parsed)
	return err
}

var _, _ pflag.Value = new(format), new(level)

// words lists values: "a, b or c".
func words(values []string) string {
	last := len(values) - 1
	return strings.Join(values[:last], ", ") + " or " + values[last]
}

// Log is a program's log. Logging never blocks.
type Log struct {
	*slog.Logger
	// Level is the lowest level that is logged. It may change at any time.
	Level *slog.LevelVar
	out   *pipelog.Writer
}

// Open makes a log. program is the name of the program, for the journal. If the journal is requested and can't be
// reached, the log goes to stderr and says so.
func Open(program string, stderr io.Writer, o *Options) *Log {
	l := &Log{Level: new(slog.LevelVar)}
	l.Level.Set(slog.Level(o.level))
	kind, mine := o.format, isJournal(stderr)
	if kind == asAuto {
		if kind = asText; mine {
			kind = asJournal
		}
	}
	var failed error
	if kind == asJournal {
		var to io.Writer
		if to, failed = dialJournal(journalSocket, stderr); failed == nil {
			handler := func(w io.Writer) slog.Handler { return newJournalHandler(w, program, l.Level) }
			l.out = pipelog.New(to, noteOf(handler))
			l.Logger = slog.New(handler(l.out))
			return l
		}
		kind = asText
	}
	handler := func(w io.Writer) slog.Handler { return l.lineHandler(w, kind, mine) }
	l.out = pipelog.New(stderr, noteOf(handler))
	l.Logger = slog.New(handler(l.out))
	if failed != nil {
		l.Warn("the log cannot go to the journal; it goes to stderr", "error", failed)
	}
	return l
}

// lineHandler writes a line for each message. If stderr is connected to the journal, a line begins with its priority.
func (l *Log) lineHandler(w io.Writer, kind format, journal bool) slog.Handler {
	if journal {
		w = &prefixer{w: w}
	}
	o := &slog.HandlerOptions{Level: l.Level}
	var h slog.Handler
	if kind == asJSON {
		h = slog.NewJSONHandler(w, o)
	} else {
		h = slog.NewTextHandler(w, o)
	}
	if p, is := w.(*prefixer); is {
		return &prefixing{Handler: h, to: p}
	}
	return h
}

// noteOf returns a function that makes the line about dropped lines, in the format of a handler.
func noteOf(handler func(io.Writer) slog.Handler) func(lines int) []byte {
	return func(lines int) []byte {
		var b buffer
		slog.New(handler(&b)).Error("lines of the log are missing here: nobody took them in time", "lines", lines)
		return b
	}
}

// buffer is a byte slice with a Write method that appends.
type buffer []byte

func (b *buffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// Close writes the waiting lines, within a time limit.
func (l *Log) Close() { l.out.Close() }
