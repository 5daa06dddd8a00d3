package workertest

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
)

// Serve lets other processes connect to the kernel until the end of the test, and returns the path for Remote. With the
// workers in another process, a test can measure their CPU time without that of the simulated kernel.
func (k *Kernel) Serve(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kernel.sock")
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.AcceptUnix()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				err = k.lend(c)
				c.Close()
			}
			if err != nil {
				t.Errorf("lending the kernel: %v", err)
			}
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return path
}

// lend serves one Dial of another process.
func (k *Kernel) lend(c *net.UnixConn) error {
	var b [256]byte
	n, err := c.Read(b[:])
	if err != nil {
		return err
	}
	var to key
	var buffer int
	if _, err := fmt.Sscanf(string(b[:n]), lendForm, &to.where.dev, &to.where.ino, &buffer, &to.name); err != nil {
		return err
	}
	receiver, asker, err := k.dial(to, buffer)
	if err != nil {
		_, err = fmt.Fprint(c, err)
		return err
	}
	defer unix.Close(receiver)
	defer unix.Close(asker)
	_, _, err = c.WriteMsgUnix(fmt.Append(nil, uint32(k.version)), unix.UnixRights(receiver, asker), nil)
	return err
}

// lendForm is the format of a Dial in a message between processes.
const lendForm = "%d %d %d %q"

// Remote is the kernel that another process serves at this path. It implements worker.Kernel.
type Remote string

// Dial connects to an instance in the calling thread's namespace.
func (r Remote) Dial(instance string, receiveBuffer int) (*joolnl.Conn, error) {
	where, err := placeOf("/proc/thread-self/ns/net")
	if err != nil {
		return nil, err
	}
	c, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: string(r), Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, lendForm, where.dev, where.ino, receiveBuffer, instance); err != nil {
		return nil, err
	}
	var b, control [256]byte
	n, controls, _, _, err := c.ReadMsgUnix(b[:], control[:])
	if err != nil {
		return nil, err
	}
	var version uint32
	if _, err := fmt.Sscan(string(b[:n]), &version); err != nil || controls == 0 {
		return nil, errors.New(string(b[:n]))
	}
	messages, err := unix.ParseSocketControlMessage(control[:controls])
	if err != nil {
		return nil, os.NewSyscallError("parsing a control message", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return joolnl.NewConn(joolnl.Requests{Family: Family, Version: joolnl.Version(version), Instance: instance}, fds[0], fds[1]), nil
}
