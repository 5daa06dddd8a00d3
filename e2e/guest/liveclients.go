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

// liveClients open TCP connections from n6 to a server in n4, which speaks first once it may, and sends nothing until then.
type liveClients struct {
	top    *topology
	server *net.TCPListener
	speak  chan struct{} // closed: the server may
	ended  sync.WaitGroup

	mu          sync.Mutex
	connections []*liveConnection
	accepted    []net.Conn
}

// liveConnection is one as its client sees it.
type liveConnection struct {
	conn net.Conn
	at   time.Time // when it was open
	// answered says that the server's byte has come through, and the answer to it.
	answered bool
}

const (
	liveDialers = 8                      // threads: so many connections may be waiting for their first answer
	dialWithin  = 500 * time.Millisecond // the kernel repeats a SYN after 1 s
	// speakWithin is time enough for TCP to repeat itself three times.
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

// speakFirst sends a byte and waits for the client's number.
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

// answer waits for the server's byte and sends the connection's number.
func (c *liveClients) answer(conn net.Conn, number int) {
	<-c.speak
	_ = conn.SetDeadline(time.Now().Add(speakWithin))
	if _, err := io.ReadFull(conn, make([]byte, 1)); err == nil {
		_, _ = conn.Write(binary.BigEndian.AppendUint32(nil, uint32(number)))
	}
}

// open opens connections, so many a second, until quit says so.
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
			runtime.LockOSThread() // and never unlocked: the thread ends with it
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

// dial opens a connection. It fails if J crashes meanwhile.
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

// speakNow lets the server speak, and waits until every connection has answered, or can't.
func (c *liveClients) speakNow() {
	close(c.speak)
	c.server.Close()
	c.ended.Wait()
}

// after is what became of the connections that were open when J crashed.
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

// close closes all connections, without a packet that says so.
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
