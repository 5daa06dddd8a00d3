package supervisor

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// maxConnections is the number of connections served at the same time. Others wait in the socket's queue.
	maxConnections = 128
	// headerPatience and answerPatience limit how long a slow client can occupy a connection.
	headerPatience = time.Second
	answerPatience = 30 * time.Second
	maxHeader      = 64 << 10
)

// control is the server on the control socket.
type control struct {
	path     string
	listener *UnixListener
	server   *http.Server
	released sync.Once
	served   chan struct{}
}

func listen(path string, log *slog.Logger) (*control, error) {
	listener, err := claimSocket(controlSocket, path)
	if err != nil {
		return nil, err
	}
	c := &control{path: path, listener: listener, served: make(chan struct{})}
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

// serve answers requests until release.
func (c *control) serve(s *Supervisor) {
	defer close(c.served)
	c.server.Handler = newHandler(s, c.path)
	reserve := newReserve()
	defer reserve.close()
	c.server.Serve(&limited{UnixListener: c.listener.UnixListener, slots: make(chan struct{}, maxConnections), reserve: reserve})
}

// release removes the socket, so that no client connects any longer, and releases the lock for the next supervisor.
func (c *control) release() {
	c.released.Do(func() { c.listener.Close() })
}

// finish waits a short time for answers under way.
func (c *control) finish() {
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if c.server.Shutdown(ctx) != nil {
		c.server.Close()
	}
	<-c.served
}

// limited is a listener that accepts at most as many connections at a time as it has slots.
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

// slot is a connection that occupies one slot.
type slot struct {
	*net.UnixConn
	free func()
}

func (s *slot) Close() error {
	defer s.free()
	return s.UnixConn.Close()
}
