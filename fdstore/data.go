package fdstore

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// most bounds what KeepData takes and TakeData reads.
const most = 16 << 20

// KeepData leaves bytes to the next process, in a file in memory: it comes and
// goes with the descriptors, and nothing on disk can be older than they are.
func (s *Store) KeepData(key string, data []byte) error {
	if !s.Leaving() {
		return nil
	}
	fd, err := unix.MemfdCreate(mark, unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), mark)
	defer f.Close()
	if len(data) > most {
		return fmt.Errorf("%d bytes are too many to keep", len(data))
	}
	if _, err := f.Write(data); err != nil {
		return fmt.Errorf("a file in memory: %w", err)
	}
	s.Keep(key, "", fd)
	return nil
}

// TakeData gives what KeepData left, or nil.
func (s *Store) TakeData(key string) ([]byte, error) {
	fd, _, ok := s.Take(key)
	if !ok {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), mark)
	defer f.Close()
	// The offset is where the process before stopped writing.
	return io.ReadAll(io.NewSectionReader(f, 0, most))
}
