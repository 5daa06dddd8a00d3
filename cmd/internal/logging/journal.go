package logging

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// journalSocket is where systemd's journal takes messages with fields: https://systemd.io/JOURNAL_NATIVE_PROTOCOL
const journalSocket = "/run/systemd/journal/socket"

// isJournal reports whether systemd has connected a file to the journal. systemd passes the device and inode in
// $JOURNAL_STREAM.
func isJournal(w io.Writer) bool {
	file, is := w.(*os.File)
	if !is {
		return false
	}
	var stat unix.Stat_t
	return unix.Fstat(int(file.Fd()), &stat) == nil && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// maxJournal is the length of the longest message, in bytes. It is well below the longest datagram that Linux's default
// limits permit.
const maxJournal = 64 << 10

// journalConn is a connection to the journal. Each Write sends one message. If the journal has a new socket, journalConn
// connects again. If it has none, the text of the message goes to stderr.
type journalConn struct {
	path   string
	conn   *net.UnixConn
	stderr io.Writer
}

func dialJournal(path string, stderr io.Writer) (*journalConn, error) {
	j := &journalConn{path: path, stderr: stderr}
	return j, j.dial()
}

func (j *journalConn) dial() (err error) {
	j.conn, err = net.DialUnix("unixgram", nil, &net.UnixAddr{Name: j.path, Net: "unixgram"})
	return err
}

// Write sends a message. It must not be called by two goroutines at the same time.
func (j *journalConn) Write(b []byte) (int, error) {
	err := net.ErrClosed
	if j.conn != nil {
		_, err = j.conn.Write(b)
	}
	if err != nil {
		if j.conn != nil {
			_ = j.conn.Close() // the journal's socket is gone
		}
		if err = j.dial(); err == nil {
			_, err = j.conn.Write(b)
		}
	}
	if err == nil {
		return len(b), nil
	}
	message := b[bytes.LastIndex(b, []byte("\nMESSAGE"))+1:]
	if _, err := fmt.Fprintf(j.stderr, "%s(not in the journal: %v)\n", message, err); err != nil {
		return 0, err
	}
	return len(b), nil
}

// priorityOf returns the priority of a level, as syslog(3) numbers them.
func priorityOf(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	case l >= slog.LevelInfo:
		return 6
	}
	return 7
}

// journalHandler writes messages with fields. MESSAGE also contains the attributes, because journalctl shows only
// MESSAGE.
type journalHandler struct {
	mu     *sync.Mutex
	to     io.Writer
	line   slog.Handler  // writes the text of MESSAGE to lines
	lines  *bytes.Buffer // guarded by mu
	head   string        // fields that each message has
	fields []byte        // the attributes of WithAttrs, as fields
	group  string
}

func newJournalHandler(to io.Writer, program string, level slog.Leveler) *journalHandler {
	lines := new(bytes.Buffer)
	return &journalHandler{mu: new(sync.Mutex), to: to, lines: lines, head: "SYSLOG_IDENTIFIER=" + program + "\n",
		line: slog.NewTextHandler(lines, &slog.HandlerOptions{Level: level, ReplaceAttr: withoutHead})}
}

// withoutHead removes the attributes that the journal shows separately.
func withoutHead(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
		return slog.Attr{}
	}
	return a
}

func (h *journalHandler) Enabled(ctx context.Context, l slog.Level) bool {
	return h.line.Enabled(ctx, l)
}

func (h *journalHandler) Handle(ctx context.Context, r slog.Record) error {
	b := fmt.Appendf(nil, "PRIORITY=%d\n%s", priorityOf(r.Level), h.head)
	b = append(b, h.fields...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendField(b, h.group, a)
		return true
	})
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines.Reset()
	if err := h.line.Handle(ctx, r); err != nil {
		return err
	}
	message := r.Message
	if attrs := strings.TrimSpace(h.lines.String()); attrs != "" {
		message += " " + attrs
	}
	b = appendValue(b, "MESSAGE", message)
	if len(b) > maxJournal {
		b = appendValue(fmt.Appendf(nil, "PRIORITY=%d\n%s", priorityOf(r.Level), h.head), "MESSAGE", strings.ToValidUTF8(message[:min(len(message), maxJournal/2)], "")+"…")
	}
	_, err := h.to.Write(b)
	return err
}

func (h *journalHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *h
	with.fields = bytes.Clone(h.fields)
	for _, a := range attrs {
		with.fields = appendField(with.fields, h.group, a)
	}
	with.line = h.line.WithAttrs(attrs)
	return &with
}

func (h *journalHandler) WithGroup(name string) slog.Handler {
	with := *h
	with.group, with.line = h.group+name+"_", h.line.WithGroup(name)
	return &with
}

// appendField appends an attribute as a field, such as JOOLCTL_PAIR.
func appendField(b []byte, group string, a slog.Attr) []byte {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		for _, member := range value.Group() {
			b = appendField(b, group+a.Key+"_", member)
		}
		return b
	}
	if a.Key == "" {
		return b
	}
	return appendValue(b, "JOOLCTL_"+fieldName(group+a.Key), value.String())
}

// fieldName replaces the characters of a key that are not permitted in names of fields.
func fieldName(key string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, key)
}

// appendValue appends a field. If the value contains line feeds, its length precedes it.
func appendValue(b []byte, name, value string) []byte {
	b = append(b, name...)
	if !strings.Contains(value, "\n") {
		b = append(b, '=')
	} else {
		b = append(b, '\n')
		b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
	}
	b = append(b, value...)
	return append(b, '\n')
}

// prefixing is a Handler whose lines begin with the priority of the message, as sd-daemon(3) describes.
type prefixing struct {
	slog.Handler
	to *prefixer
}

func (p *prefixing) Handle(ctx context.Context, r slog.Record) error {
	p.to.mu.Lock()
	defer p.to.mu.Unlock()
	p.to.prefix = fmt.Sprintf("<%d>", priorityOf(r.Level))
	return p.Handler.Handle(ctx, r)
}

func (p *prefixing) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &prefixing{p.Handler.WithAttrs(attrs), p.to}
}

func (p *prefixing) WithGroup(name string) slog.Handler {
	return &prefixing{p.Handler.WithGroup(name), p.to}
}

// prefixer writes a prefix before each line.
type prefixer struct {
	w      io.Writer
	mu     sync.Mutex
	prefix string
}

func (p *prefixer) Write(line []byte) (int, error) {
	if _, err := p.w.Write(append([]byte(p.prefix), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
