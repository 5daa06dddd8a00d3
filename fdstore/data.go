package fdstore

import (
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// most is the largest number of bytes that KeepData and TakeData handle.
const most = 16 << 20

// KeepData stores bytes for the next process of the service, in a memory file (memfd) whose descriptor is passed
// like a socket's. The bytes have the same lifetime as the stored sockets, so they can never be older than
// these, as a file on disk could. Before Leave, KeepData does nothing. It returns an error for more than 16 MiB.
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

// TakeData returns the bytes that the previous process stored with KeepData under this key, or nil if there are
// none.
func (s *Store) TakeData(key string) ([]byte, error) {
	fd, _, ok := s.Take(key)
	if !ok {
		return nil, nil
	}
	f := os.NewFile(uintptr(fd), mark)
	defer f.Close()
	// The descriptor's file offset is at the end, because the previous process wrote through it.
	return io.ReadAll(io.NewSectionReader(f, 0, most))
}
