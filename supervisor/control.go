package supervisor

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"
)

const (
	// maxConnections are served at a time; more wait in the socket's queue.
	maxConnections = 128
	// headerPatience and answerPatience bound what a slow client can hold.
	headerPatience = time.Second
	answerPatience = 30 * time.Second
	maxHeader      = 64 << 10
)

// control is the server on the control socket.
type control struct {
	path     string
	lock     *os.File
	listener *net.UnixListener
	server   *http.Server
	released sync.Once
	served   chan struct{}
}

func listen(path string, log *slog.Logger) (*control, error) {
	listener, lock, err := claimSocket(controlSocket, path)
	if err != nil {
		return nil, err
	}
	c := &control{path: path, lock: lock, listener: listener, served: make(chan struct{})}
	c.server = &http.Server{
		ReadHeaderTimeout: headerPatience,
		WriteTimeout:      answerPatience,
		IdleTimeout:       headerPatience,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnContext: func(ctx context.Context, conn net.Conn) context.Context {
			return context.WithValue(ctx, callerKey{}, callerOf(conn.(*slot).UnixConn))
		},
	}
	c.server.SetKeepAlivesEnabled(false)
	return c, nil
}

type callerKey struct{}

// serve answers until release.
func (c *control) serve(s *Supervisor) {
	defer close(c.served)
	c.server.Handler = newHandler(s, c.path)
	reserve := newReserve()
	defer reserve.close()
	c.server.Serve(&limited{UnixListener: c.listener, slots: make(chan struct{}, maxConnections), reserve: reserve})
}

// release removes the socket, so that nobody else connects, and lets a
// successor have it.
func (c *control) release() {
	c.released.Do(func() {
		c.listener.Close()
		c.lock.Close()
	})
}

// finish gives answers that are under way a moment.
func (c *control) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		c.server.Close()
	}
	<-c.served
}

// limited accepts no more connections than it has slots.
type limited struct {
	*net.UnixListener
	slots   chan struct{}
	reserve *reserve
}

func (l *limited) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	l.reserve.refill()
	conn, err := l.AcceptUnix()
	for exhausted(err) && l.reserve.give() {
		conn, err = l.AcceptUnix()
	}
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &slot{UnixConn: conn, free: sync.OnceFunc(func() {
		l.reserve.refill()
		<-l.slots
	})}, nil
}

// slot is a connection that has one.
type slot struct {
	*net.UnixConn
	free func()
}

func (s *slot) Close() error {
	defer s.free()
	return s.UnixConn.Close()
}
