package lab

import (
	"archive/tar"
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"
	"time"
)

// marks are the words that tell the init script's own lines from the command's output. They are new for each machine, so
// that no output can have them by chance.
type marks struct{ begin, end, done, fail string }

func newMarks() marks {
	id := rand.Text()
	return marks{begin: "@begin-" + id, end: "@end-" + id + " ", done: "@done-" + id, fail: "@fail-" + id + " "}
}

// guestStream reads the output of the guest's virtio serial port: the begin mark on a line, the command's output, the
// end mark with the exit status on the rest of its line, a tar archive of /out, and the done mark on a line. If the
// guest could not be set up, the output is noise and the fail mark with the reason.
type guestStream struct {
	marks    marks
	out      io.Writer
	outErr   error
	start    time.Time
	bootTime time.Duration

	booted func() // called when the command starts
	ended  func() // called when nothing more is to come

	phase  phase
	line   []byte   // without an end yet
	last   []string // the last lines of the output
	exit   int
	reason string // after the fail mark
	tar    bytes.Buffer
}

type phase int

const (
	phaseBoot phase = iota
	phaseCommand
	phaseFiles
	phaseDone
	phaseFailed
)

const tailLines = 40

func newGuestStream(m marks, out io.Writer) *guestStream {
	if out == nil {
		out = io.Discard
	}
	return &guestStream{marks: m, out: out, booted: func() {}, ended: func() {}, start: time.Now(), exit: -1}
}

// Write never fails, because the machine has to continue even if its output cannot be written.
func (s *guestStream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && s.phase < phaseFiles {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.line = append(s.line, p...)
			return n, nil
		}
		s.line = append(s.line, p[:end]...)
		p = p[end+1:]
		s.endLine()
	}
	if s.phase == phaseFiles {
		s.endFiles(p)
	}
	return n, nil
}

func (s *guestStream) endFiles(p []byte) {
	s.tar.Write(p)
	if bytes.HasSuffix(s.tar.Bytes(), []byte(s.marks.done+"\n")) {
		s.tar.Truncate(s.tar.Len() - len(s.marks.done) - 1)
		s.phase = phaseDone
		s.ended()
	}
}

func (s *guestStream) endLine() {
	line := strings.TrimSuffix(string(s.line), "\r")
	s.line = s.line[:0]
	if _, reason, ok := strings.Cut(line, s.marks.fail); ok {
		s.phase, s.reason = phaseFailed, reason
		s.ended()
		return
	}
	if s.phase == phaseBoot && line == s.marks.begin {
		s.phase, s.bootTime, s.last = phaseCommand, time.Since(s.start), nil
		s.booted()
		return
	}
	before, status, ended := strings.Cut(line, s.marks.end)
	if !ended {
		s.emit(line + "\n")
		return
	}
	if before != "" { // output without a line feed at its end
		s.emit(before)
	}
	s.phase = phaseFiles
	if n, err := strconv.Atoi(status); err == nil {
		s.exit = n
	}
}

func (s *guestStream) emit(text string) {
	s.last = append(s.last[max(0, len(s.last)-tailLines+1):], text)
	if s.phase != phaseCommand || s.outErr != nil {
		return
	}
	_, s.outErr = io.WriteString(s.out, text)
}

// finish completes the result after the machine has ended, with QEMU's error or nil. A line that was begun is
// emitted.
func (s *guestStream) finish(r *Result, err error) error {
	if s.phase < phaseFiles && len(s.line) > 0 {
		s.emit(string(s.line))
	}
	r.Exit, r.BootTime = s.exit, s.bootTime
	switch {
	case s.phase == phaseFailed:
		return fmt.Errorf("the guest couldn't be set up: %s", s.reason)
	case s.phase == phaseDone:
		// QEMU's error is that it was ended.
	case err != nil:
		return err
	case s.phase == phaseBoot:
		return errors.New("it ended before it had booted")
	case s.phase == phaseCommand:
		return errors.New("it ended before the command did: the kernel panicked, or the command powered it off")
	default:
		return errors.New("it ended while the files of /out were being sent")
	}
	r.Files, err = readFiles(s.tar.Bytes())
	if err != nil {
		return fmt.Errorf("files of /out: %w", err)
	}
	if s.outErr != nil {
		return fmt.Errorf("the command's output couldn't be written: %w", s.outErr)
	}
	return nil
}

func (s *guestStream) tail() string { return strings.Join(s.last, "") }

// readFiles reads the regular files of a tar archive.
func readFiles(archive []byte) (map[string][]byte, error) {
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		data, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files[path.Clean(h.Name)] = data
	}
}
