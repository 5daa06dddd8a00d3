package guest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"
)

// echoPort is where n4 echoes what TCP connections bring.
const echoPort = 7000

// serveEcho makes n4 echo until the test ends.
func (top *topology) serveEcho(t testing.TB) {
	t.Helper()
	top.n4.do(t, func() error {
		l, err := net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr4), echoPort)))
		if err != nil {
			return err
		}
		t.Cleanup(func() { l.Close() })
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go func() {
					defer c.Close()
					_, _ = io.Copy(c, c) // until the client is done
				}()
			}
		}()
		return nil
	})
}

// connection is a TCP connection from n6 to n4's echo.
type connection struct{ *net.TCPConn }

// connect opens a connection from a port of n6. It is closed when the test ends.
func (top *topology) connect(t testing.TB, source uint16) connection {
	t.Helper()
	return top.connectTo(t, source, dst6(echoPort))
}

// connectTo is connect for another address of n4's echo: each instance has its own.
func (top *topology) connectTo(t testing.TB, source uint16, to netip.AddrPort) connection {
	t.Helper()
	var c *net.TCPConn
	top.n6.do(t, func() error {
		from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr6), source))
		d := net.Dialer{LocalAddr: from, Timeout: replyWithin}
		d.KeepAlive = -1 // no packet but the test's own
		conn, err := d.Dial("tcp6", to.String())
		if err != nil {
			return err
		}
		c = conn.(*net.TCPConn)
		return nil
	})
	t.Cleanup(func() { c.Close() })
	return connection{c}
}

// echo sends a text and expects it back within limit.
func (c connection) echo(text string, limit time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
		return err
	}
	if _, err := io.WriteString(c, text); err != nil {
		return err
	}
	got := make([]byte, len(text))
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("waiting for the echo: %w", err)
	}
	if !bytes.Equal(got, []byte(text)) {
		return fmt.Errorf("sent %q, got %q back", text, got)
	}
	return nil
}

// mustEcho is echo for connections that have to work.
func (c connection) mustEcho(t testing.TB, text string) {
	t.Helper()
	if err := c.echo(text, replyWithin); err != nil {
		t.Fatalf("TCP connection from %v: %v", c.LocalAddr(), err)
	}
}
