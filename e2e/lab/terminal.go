package lab

import (
	"context"
	"fmt"
	"io"
	"net"
	"path/filepath"
)

// terminalDevice is the machine's second serial port. The virtio serial port is no terminal, and a virtio console drops
// what the host doesn't read fast enough.
const terminalDevice = "/dev/ttyS1"

// terminal joins the machine's second serial port to the caller's terminal by a unix socket, which QEMU connects to each
// time that the machine is switched on.
type terminal struct{ listener *net.UnixListener }

func newTerminal(dir string) (*terminal, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "terminal"), Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("virtual machine: its terminal: %w", err)
	}
	return &terminal{l}, nil
}

// qemuArgs add the serial port.
func (t *terminal) qemuArgs() []string {
	return []string{"-chardev", "socket,id=terminal,path=" + t.listener.Addr().String(), "-serial", "chardev:terminal"}
}

// join copies between the machine and rw until the listener is closed. Input from rw that arrives before the machine is
// switched on waits in rw.
func (t *terminal) join(ctx context.Context, rw io.ReadWriter) {
	typed := make(chan []byte)
	var reading bool
	for {
		conn, err := t.listener.Accept()
		if err != nil {
			return
		}
		if !reading {
			reading = true
			go read(ctx, rw, typed)
		}
		hungUp := make(chan struct{})
		go func() {
			defer close(hungUp)
			_, _ = io.Copy(rw, conn)
		}()
		write(conn, typed, hungUp)
		conn.Close()
		<-hungUp
	}
}

// read sends the input of r to typed until the context ends. A read that is blocked then ends with the next key.
func read(ctx context.Context, r io.Reader, typed chan<- []byte) {
	for {
		b := make([]byte, 1024)
		n, err := r.Read(b)
		if err != nil {
			return
		}
		select {
		case typed <- b[:n]:
		case <-ctx.Done():
			return
		}
	}
}

// write writes what is typed to the machine until that hangs up.
func write(conn net.Conn, typed <-chan []byte, hungUp <-chan struct{}) {
	for {
		select {
		case b := <-typed:
			if _, err := conn.Write(b); err != nil {
				return
			}
		case <-hungUp:
			return
		}
	}
}

func (t *terminal) close() { t.listener.Close() }
