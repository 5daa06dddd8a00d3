package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConnections is the number of connections open at the same time. More wait in the socket's queue.
	maxConnections = 32
	// maxHeader limits the header of a request, in bytes.
	maxHeader = 16 << 10
	// These limit how long a slow client can occupy a connection.
	headerTimeout = 5 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 30 * time.Second
	// closeTimeout limits how long the server waits for scrapes under way when it ends.
	closeTimeout = 300 * time.Millisecond
	// retryEvery is the time between two attempts to listen.
	retryEvery = time.Second
)

// Serve serves a handler on an address until ctx ends. If it can't listen there, because another program does or because
// no interface has the address yet, it logs this once and retries each second: the pairs do not depend on metrics.
func Serve(ctx context.Context, a Address, handler http.Handler, log *slog.Logger) {
	l := listen(ctx, a, log)
	if l == nil {
		return
	}
	log.Info("metrics are served", "address", a.String())
	serveOn(ctx, l, handler, log)
}

// listen waits until it can listen. It returns nil if ctx ends first.
func listen(ctx context.Context, a Address, log *slog.Logger) net.Listener {
	told := ""
	for {
		l, err := a.Listen()
		if err == nil {
			return l
		}
		if err.Error() != told {
			told = err.Error()
			log.Error("metrics are not served; it is tried again each second", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retryEvery):
		}
	}
}

// serveOn serves on a listener and closes it when ctx ends.
func serveOn(ctx context.Context, l net.Listener, handler http.Handler, log *slog.Logger) {
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		<-ctx.Done()
		late, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		if server.Shutdown(late) != nil {
			server.Close()
		}
	}()
	if err := server.Serve(netutil.LimitListener(l, maxConnections)); !errors.Is(err, http.ErrServerClosed) {
		log.Error("metrics are not served any more", "error", err)
	}
	<-ended
}
