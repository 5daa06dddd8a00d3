package logging

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
)

// flags parses the flags of a command.
func flags(args ...string) (*Options, error) {
	cmd := &cobra.Command{}
	o := Flags(cmd)
	return o, cmd.ParseFlags(args)
}

func mustFlags(t *testing.T, args ...string) *Options {
	t.Helper()
	o, err := flags(args...)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestFlags(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--log-level loud", `there is no level "loud"; write debug, info, warn or error`},
		{"--log-level=", `there is no level ""`},
		{"--log-level info+2", `there is no level "info+2"`},
		{"--log-format xml", `there is no format "xml"; write auto, text, json or journal`},
	} {
		if _, err := flags(strings.Fields(c.args)...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
	for _, name := range Levels {
		l, err := ParseLevel(name)
		if err != nil || LevelName(l) != name {
			t.Errorf("%s: %v, %v", name, l, err)
		}
	}
}

// written returns what a log writes to stderr.
func written(t *testing.T, use func(*Log), args ...string) string {
	t.Helper()
	var b bytes.Buffer
	l := Open("joolctl", &b, mustFlags(t, args...))
	use(l)
	l.Close()
	return b.String()
}

func TestLevels(t *testing.T) {
	use := func(l *Log) {
		l.Debug("d1")
		l.Info("i1")
		l.Level.Set(slog.LevelDebug)
		l.Debug("d2")
		l.Level.Set(slog.LevelError)
		l.Warn("w3")
		l.Error("e3", "pair", "blue")
	}
	for _, c := range []struct {
		level string
		want  []string
	}{{"info", []string{"i1", "d2", "e3"}}, {"debug", []string{"d1", "i1", "d2", "e3"}}, {"error", []string{"d2", "e3"}}} {
		var got []string
		for line := range strings.Lines(written(t, use, "--log-level", c.level, "--log-format", "json")) {
			var entry struct{ Msg, Pair string }
			if err := json.Unmarshal([]byte(line), &entry); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			if entry.Msg == "e3" && entry.Pair != "blue" {
				t.Errorf("the pair is missing: %s", line)
			}
			got = append(got, entry.Msg)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("level %s (-want +got):\n%s", c.level, diff)
		}
	}
	if text := written(t, use); !strings.Contains(text, " level=INFO msg=i1\n") || !strings.Contains(text, " level=ERROR msg=e3 pair=blue\n") {
		t.Errorf("text: %s", text)
	}
}

// fieldsOf parses a message of the journal's protocol.
func fieldsOf(t *testing.T, b []byte) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	for len(b) > 0 {
		line, rest, _ := bytes.Cut(b, []byte("\n"))
		name, value, short := strings.Cut(string(line), "=")
		if !short {
			n := binary.LittleEndian.Uint64(rest)
			value, rest = string(rest[8:8+n]), rest[8+n+1:]
		}
		fields[name], b = value, rest
	}
	return fields
}

// TestJournal sends a log to a socket in place of the journal's.
func TestJournal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	to, err := dialJournal(path, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	level := new(slog.LevelVar)
	log := slog.New(newJournalHandler(to, "joolctl", level))
	for _, c := range []struct {
		log  func()
		want map[string]string
	}{
		{func() { log.Debug("left out"); log.Info("hello") }, map[string]string{"PRIORITY": "6", "MESSAGE": "hello"}},
		{func() { log.With("pair", "blue").Error("files are refused", "error", "ttl: 300 is out of range") },
			map[string]string{"PRIORITY": "3", "MESSAGE": `files are refused pair=blue error="ttl: 300 is out of range"`,
				"JOOLCTL_PAIR": "blue", "JOOLCTL_ERROR": "ttl: 300 is out of range"}},
		{func() { log.Warn("two", "stack", "one\ntwo", "gave back", 3) },
			map[string]string{"PRIORITY": "4", "MESSAGE": `two stack="one\ntwo" "gave back"=3`, "JOOLCTL_STACK": "one\ntwo", "JOOLCTL_GAVE_BACK": "3"}},
		{func() { log.WithGroup("g").Info("group", slog.Group("h", "k", true)) },
			map[string]string{"PRIORITY": "6", "MESSAGE": `group g.h.k=true`, "JOOLCTL_G_H_K": "true"}},
		{func() { level.Set(slog.LevelDebug); log.Debug("d\nd") }, map[string]string{"PRIORITY": "7", "MESSAGE": "d\nd"}},
	} {
		c.log()
		b := make([]byte, 1<<20)
		socket.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := socket.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		c.want["SYSLOG_IDENTIFIER"] = "joolctl"
		if diff := cmp.Diff(c.want, fieldsOf(t, b[:n])); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	log.Error("long", "stack", strings.Repeat("ä\n", 1<<20))
	b := make([]byte, 1<<20)
	n, err := socket.Read(b)
	if fields := fieldsOf(t, b[:n]); err != nil || n > maxJournal || !strings.HasPrefix(fields["MESSAGE"], "long stack=") || fields["PRIORITY"] != "3" {
		t.Errorf("a long message: %d bytes, %v", n, err)
	}
}

// TestJournalStartsAgain stops the journal and starts it again.
func TestJournalStartsAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "socket")
	listen := func() *net.UnixConn {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		return socket
	}
	var stderr bytes.Buffer
	socket := listen()
	to, err := dialJournal(path, &stderr)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(newJournalHandler(to, "joolctl", slog.LevelInfo))
	log.Info("one")
	socket.Close()
	os.Remove(path)
	log.Info("two", "pair", "blue")
	if text := stderr.String(); !strings.HasPrefix(text, "MESSAGE=two pair=blue\n(not in the journal: ") {
		t.Errorf("stderr has %q", text)
	}
	socket = listen()
	defer socket.Close()
	log.Info("three")
	b := make([]byte, 1024)
	socket.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, err := socket.Read(b)
	if err != nil || fieldsOf(t, b[:n])["MESSAGE"] != "three" {
		t.Errorf("%v: %q", err, b[:n])
	}
}

// journalFile returns a file for which $JOURNAL_STREAM says that it is connected to the journal.
func journalFile(t *testing.T) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	return file
}

// TestPriorities checks that lines begin with their priorities if stderr is connected to the journal.
func TestPriorities(t *testing.T) {
	for _, kind := range []string{"text", "json"} {
		file := journalFile(t)
		if !isJournal(file) {
			t.Fatal("the file is not taken for the journal's")
		}
		l := Open("joolctl", file, mustFlags(t, "--log-format", kind))
		l.Info("one")
		l.With("pair", "blue").Error("two")
		l.WithGroup("g").Warn("three")
		l.Close()
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		prefixes := make(map[string]string)
		for line := range strings.Lines(string(text)) {
			for _, word := range []string{"one", "two", "three"} {
				if strings.Contains(line, word) {
					prefixes[word] = line[:3]
				}
			}
		}
		if want := map[string]string{"one": "<6>", "two": "<3>", "three": "<4>"}; !maps.Equal(want, prefixes) {
			t.Errorf("%s: %v\n%s", kind, prefixes, text)
		}
	}
}

// TestNoJournal runs without a journal.
func TestNoJournal(t *testing.T) {
	if _, err := os.Stat(journalSocket); err == nil {
		t.Skip("there is a journal")
	}
	if text := written(t, func(l *Log) { l.Info("hello") }, "--log-format", "journal"); !strings.Contains(text, "cannot go to the journal") || !strings.Contains(text, "msg=hello") {
		t.Errorf("text: %s", text)
	}
	file := journalFile(t)
	t.Setenv("JOURNAL_STREAM", "1:2")
	if isJournal(file) || isJournal(io.Discard) {
		t.Error("a file is taken for the journal's")
	}
}

// TestNote checks that the line about dropped lines has the format of the log.
func TestNote(t *testing.T) {
	note := noteOf(func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) })(7)
	var line struct{ Lines int }
	if err := json.Unmarshal(note, &line); err != nil || line.Lines != 7 {
		t.Errorf("%s: %v", note, err)
	}
}
