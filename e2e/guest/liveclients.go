package guest

import (
	"cmp"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// liveClients are TCP connections from n6 to a server in n4. After the crash, the server sends first.
type liveClients struct {
	top    *topology
	server *net.TCPListener
	speak  chan struct{} // closed when the server may send
	ended  sync.WaitGroup

	mu          sync.Mutex
	connections []*liveConnection
	accepted    []net.Conn
}

// liveConnection is the client's side of a connection.
type liveConnection struct {
	conn net.Conn
	at   time.Time // end of the handshake
	// answered is set when the server has received the answer to its byte.
	answered bool
}

const (
	liveDialers = 8                      // threads; each waits for one handshake at a time
	dialWithin  = 500 * time.Millisecond // less than the 1 s after which TCP sends the SYN again
	// speakWithin is enough for three retransmissions by TCP.
	speakWithin = 3 * time.Second
)

// newLiveClients starts the server.
func (top *topology) newLiveClients(t testing.TB) *liveClients {
	t.Helper()
	c := &liveClients{top: top, speak: make(chan struct{})}
	top.n4.do(t, func() (err error) {
		c.server, err = net.ListenTCP("tcp4", net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr4), echoPort)))
		return err
	})
	c.ended.Go(c.serve)
	return c
}

func (c *liveClients) serve() {
	for {
		conn, err := c.server.Accept()
		if err != nil {
			return
		}
		c.mu.Lock()
		c.accepted = append(c.accepted, conn)
		c.mu.Unlock()
		c.ended.Go(func() { c.speakFirst(conn) })
	}
}

// speakFirst sends a byte and waits for the connection's number.
func (c *liveClients) speakFirst(conn net.Conn) {
	<-c.speak
	_ = conn.SetDeadline(time.Now().Add(speakWithin))
	if _, err := conn.Write([]byte{1}); err != nil {
		return
	}
	var number [4]byte
	if _, err := io.ReadFull(conn, number[:]); err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connections[binary.BigEndian.Uint32(number[:])].answered = true
}

// answer waits for the server's byte and answers with the connection's number.
func (c *liveClients) answer(conn net.Conn, number int) {
	<-c.speak
	_ = conn.SetDeadline(time.Now().Add(speakWithin))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
		_, _ = conn.Write(binary.BigEndian.AppendUint32(nil, uint32(number)))
	}
}

// open opens connections at a rate until quit is set.
func (c *liveClients) open(perSecond int, quit *atomic.Bool) error {
	home, err := netns.GetFromName(c.top.n6.name)
	if err != nil {
		return err
	}
	defer home.Close()
	var dialers sync.WaitGroup
	var next atomic.Int64
	failed := make(chan error, liveDialers)
	began := time.Now()
	for range liveDialers {
		dialers.Go(func() {
			runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
			if err := netns.Set(home); err != nil {
				failed <- err
				return
			}
			for !quit.Load() {
				sleepUntil(began.Add(time.Duration(next.Add(1)-1) * time.Second / time.Duration(perSecond)))
				if !quit.Load() {
					c.dial()
				}
			}
		})
	}
	dialers.Wait()
	close(failed)
	return <-failed
}

// dial opens a connection. A handshake that the crash interrupts does not count.
func (c *liveClients) dial() {
	d := net.Dialer{Timeout: dialWithin}
	d.KeepAlive = -1 // no packet but the test's own
	conn, err := d.Dial("tcp6", dst6(echoPort).String())
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	number := len(c.connections)
	c.connections = append(c.connections, &liveConnection{conn: conn, at: time.Now()})
	c.ended.Go(func() { c.answer(conn, number) })
}

// speakNow lets the server send, and waits for all answers or their timeout.
func (c *liveClients) speakNow() {
	close(c.speak)
	c.server.Close()
	c.ended.Wait()
}

// after counts the connections that were open at the crash.
func (c *liveClients) after(crash time.Time) (m LiveCrash) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.connections {
		age := crash.Sub(l.at)
		if age < 0 {
			continue
		}
		m.Connections++
		if l.answered {
			m.Survivors++
			if m.YoungestSurvivor == 0 || age < m.YoungestSurvivor {
				m.YoungestSurvivor = age
			}
			continue
		}
		m.Lost = append(m.Lost, age)
	}
	slices.SortFunc(m.Lost, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	return m
}

// close resets all connections.
func (c *liveClients) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.connections {
		_ = l.conn.(*net.TCPConn).SetLinger(0)
		l.conn.Close()
	}
	for _, conn := range c.accepted {
		_ = conn.(*net.TCPConn).SetLinger(0)
		conn.Close()
	}
}
