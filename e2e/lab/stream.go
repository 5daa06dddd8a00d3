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
type marks struct{ begin, end, fail string }

func newMarks() marks {
	id := rand.Text()
	return marks{begin: "@begin-" + id, end: "@end-" + id + " ", fail: "@fail-" + id + " "}
}

// guestStream takes what the guest writes to its second serial port, which is raw: the begin mark on a line, the
// command's output, the end mark with the exit status on the rest of its line, and a tar archive of /out. Or, if
// the guest couldn't be set up: noise, and the fail mark with the reason.
type guestStream struct {
	marks    marks
	out      io.Writer
	outErr   error
	start    time.Time
	bootTime time.Duration

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
	phaseFailed
)

const tailLines = 40

func newGuestStream(m marks, out io.Writer) *guestStream {
	if out == nil {
		out = io.Discard
	}
	return &guestStream{marks: m, out: out, start: time.Now(), exit: -1}
}

// Write never fails: the machine goes on even if nobody can take its output.
func (s *guestStream) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 && s.phase != phaseFiles {
		end := bytes.IndexByte(p, '\n')
		if end < 0 {
			s.line = append(s.line, p...)
			return n, nil
		}
		s.line = append(s.line, p[:end]...)
		p = p[end+1:]
		s.endLine()
	}
	s.tar.Write(p)
	return n, nil
}

func (s *guestStream) endLine() {
	line := strings.TrimSuffix(string(s.line), "\r")
	s.line = s.line[:0]
	if _, reason, ok := strings.Cut(line, s.marks.fail); ok {
		s.phase, s.reason = phaseFailed, reason
		return
	}
	if s.phase == phaseBoot && line == s.marks.begin {
		s.phase, s.bootTime, s.last = phaseCommand, time.Since(s.start), nil
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
	if s.phase != phaseFiles && len(s.line) > 0 {
		s.emit(string(s.line))
	}
	r.Exit = s.exit
	switch {
	case s.phase == phaseFailed:
		return fmt.Errorf("the guest couldn't be set up: %s", s.reason)
	case err != nil:
		return err
	case s.phase == phaseBoot:
		return errors.New("it ended before it had booted")
	case s.phase == phaseCommand:
		return errors.New("it ended before the command did: the kernel panicked, or the command powered it off")
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

// readFiles reads the regular files of a tar archive. It insists on the archive's end mark, two blocks of zeros, because
// an archive cut between two files would look complete.
func readFiles(archive []byte) (map[string][]byte, error) {
	if !bytes.HasSuffix(archive, make([]byte, 1024)) {
		return nil, fmt.Errorf("the archive is cut off after %d bytes", len(archive))
	}
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
