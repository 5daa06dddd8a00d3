package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"joolctl/internal/await"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// started runs a supervisor with a control socket until the end of the test.
func started(t *testing.T, socket string) (Client, *fleet) {
	t.Helper()
	dir := t.TempDir()
	f := newFleet()
	two(t)(dir, f)
	ready, done := make(chan struct{}), make(chan error, 1)
	var once sync.Once
	s := New(Options{
		Dir: dir, Socket: socket, Version: "1.2.3", NewWorker: f.newWorker, OpenStats: f.openStats, Probe: f.probe,
		Notify: func(message string) {
			if strings.HasPrefix(message, "READY=1") { // STATUS= comes before, while the pairs start
				once.Do(func() { close(ready) })
			}
		},
	})
	ctx, cancel := context.WithCancel(context.Background())
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-done:
		done <- err
		t.Fatalf("Run: %v", err)
	}
	return Client{socket}, f
}

// socketIn returns the path of a control socket in a directory that does not exist yet.
func socketIn(t *testing.T) string { return filepath.Join(t.TempDir(), "run", "s") }

func TestControl(t *testing.T) {
	ctx := context.Background()
	c, _ := started(t, socketIn(t))
	info, err := os.Stat(c.Socket)
	if err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("socket: %v, %v", info.Mode(), err)
	}
	status, err := c.Status(ctx, []string{"b"})
	if err != nil || len(status.Workers) != 1 || status.Workers[0].Name != "b" || status.Version != "1.2.3" {
		t.Errorf("Status: %+v, %v", status, err)
	}
	if r := status.Runtime; r.Goroutines < 2 || r.HeapBytes == 0 {
		t.Errorf("Runtime: %+v", r)
	}
	_, err = c.Status(ctx, []string{"x"})
	var unknown *UnknownName
	if !errors.As(err, &unknown) || unknown.Name != "x" || !cmp.Equal(unknown.Known, []string{"a", "b"}) {
		t.Errorf("Status of an unknown name: %v", err)
	}
	if outcomes, err := c.Restart(ctx, []string{"a"}, false); err != nil || len(outcomes) != 1 || outcomes[0].State != Running {
		t.Errorf("Restart: %+v, %v", outcomes, err)
	}
	if outcomes, err := c.Advertise(ctx, nil, true); err != nil || len(outcomes) != 2 || outcomes[0].Error != "" {
		t.Errorf("Advertise: %+v, %v", outcomes, err)
	}
	if _, err := c.Advertise(ctx, nil, false); !strings.Contains(fmt.Sprint(err), "all=true") {
		t.Errorf("Advertise of nothing: %v", err)
	}
	if reload, err := c.Reload(ctx); err != nil || len(reload.Changes) != 0 {
		t.Errorf("Reload: %+v, %v", reload, err)
	}
}

// TestDownAndSuccessor checks that another supervisor can start as soon as down has answered.
func TestDownAndSuccessor(t *testing.T) {
	socket := socketIn(t)
	for range 3 {
		c, _ := started(t, socket)
		if down, err := c.Down(context.Background()); err != nil || len(down.Hung) != 0 {
			t.Fatalf("Down: %+v, %v", down, err)
		}
	}
	_, err := Client{socket}.Status(context.Background(), nil)
	var none *NoSupervisor
	if !errors.As(err, &none) {
		t.Errorf("Status of nobody: %v", err)
	}
}

func TestSecondSupervisorIsRefused(t *testing.T) {
	c, _ := started(t, socketIn(t))
	err := New(Options{Dir: t.TempDir(), Socket: c.Socket}).Run(context.Background())
	if want := fmt.Sprintf("another supervisor (process %d) has it", os.Getpid()); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run: %v, want %s", err, want)
	}
	if _, err := c.Status(context.Background(), nil); err != nil {
		t.Errorf("the first one after that: %v", err)
	}
}

func TestSocketPath(t *testing.T) {
	t.Run("stale", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		l.Close()
		c, _ := started(t, socket)
		if _, err := c.Status(context.Background(), nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("of another program", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "s")
		l, err := net.Listen("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		wantRunError(t, socket, "some other program listens there")
	})
	t.Run("a file", func(t *testing.T) {
		socket := filepath.Join(t.TempDir(), "s")
		if err := os.WriteFile(socket, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantRunError(t, socket, "there is something else")
	})
	t.Run("too long", func(t *testing.T) {
		wantRunError(t, "/"+strings.Repeat("x", 200), "longer than 107 bytes")
	})
	t.Run("below a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantRunError(t, filepath.Join(file, "s"), "not a directory")
	})
}

func wantRunError(t *testing.T, socket, want string) {
	t.Helper()
	err := New(Options{Dir: t.TempDir(), Socket: socket}).Run(context.Background())
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("Run: %v, want %s", err, want)
	}
}

// raw sends bytes to the socket and returns the whole answer.
func raw(t *testing.T, socket, request string) string {
	t.Helper()
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil && len(answer) == 0 {
		t.Fatal(err)
	}
	return string(answer)
}

func TestBadRequests(t *testing.T) {
	c, _ := started(t, socketIn(t))
	for _, test := range []struct{ name, request, want string }{
		{"path", "GET /v1/nothing HTTP/1.0\r\n\r\n", `{"error":"the control API has no \"/v1/nothing\""}`},
		{"method", "GET /v1/down HTTP/1.0\r\n\r\n", `{"error":"/v1/down takes POST only"}`},
		{"other method", "DELETE /v1/status HTTP/1.0\r\n\r\n", `{"error":"/v1/status takes GET only"}`},
		{"query", "GET /v1/status?name=%zz HTTP/1.0\r\n\r\n", `{"error":"the query can't be read"}`},
		{"body", "POST /v1/reload HTTP/1.0\r\nContent-Length: 2\r\n\r\n{}", `{"error":"the control API takes no bodies"}`},
		{"huge body", "POST /v1/reload HTTP/1.0\r\nContent-Length: 99999999999\r\n\r\n{}", `{"error":"the control API takes no bodies"}`},
		{"body that never ends", "POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", `{"error":"the control API takes no bodies"}`},
		{"slow header", "GET /v1/sta", "408"},
		{"no HTTP", "hello\r\n\r\n", "400 Bad Request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			if answer := raw(t, c.Socket, test.request); !strings.Contains(answer, test.want) && test.want != "408" {
				t.Errorf("answer: %s, want %s", answer, test.want)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// allRun waits until all workers run.
func allRun(t *testing.T, c Client) {
	t.Helper()
	await.Right(t, 5*time.Second, "all workers run", func() string {
		status, err := c.Status(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range status.Workers {
			if row.State != Running {
				return fmt.Sprintf("%s is %s", row.Name, row.State)
			}
		}
		return ""
	})
}

// TestClientsThatTakeTheirTime has clients that request long answers and do not read them, and clients that send invalid
// requests. None may delay another client.
func TestClientsThatTakeTheirTime(t *testing.T) {
	c, f := started(t, socketIn(t))
	allRun(t, c)
	f.notes()
	// The answer repeats the path, which is too long for the socket's send buffer.
	for range maxConnections - 1 {
		conn, err := net.Dial("unix", c.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		must(t, conn.(*net.UnixConn).SetWriteBuffer(4096))
		if _, err := fmt.Fprintf(conn, "GET /v1/%s HTTP/1.0\r\n\r\n", strings.Repeat("x", 7000)); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		begin := time.Now()
		if _, err := c.Status(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took > time.Second {
			t.Errorf("an answer took %v", took)
		}
	}
	for name, request := range map[string]string{
		"address": "GET /v1/status?name=" + strings.Repeat("x", 100<<10) + " HTTP/1.0\r\n\r\n",
		"header":  "GET /v1/status HTTP/1.0\r\nX: " + strings.Repeat("x", 100<<10) + "\r\n\r\n",
	} {
		if answer := raw(t, c.Socket, request); !strings.Contains(answer, "431 Request Header Fields Too Large") {
			t.Errorf("a long %s: %.100s", name, answer)
		}
	}
	if notes := f.notes(); len(notes) > 0 {
		t.Errorf("workers were concerned: %v", notes)
	}
}

// TestThousandConnections opens a thousand connections. All requests must be answered, and no worker may be affected.
func TestThousandConnections(t *testing.T) {
	c, f := started(t, socketIn(t))
	rows := func() (rows []Row) {
		status, err := c.Status(context.Background(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range status.Workers {
			status.Workers[i].Rates = nil // the time window differs each time
		}
		return status.Workers
	}
	allRun(t, c)
	before := rows()
	f.notes()
	// Idle connections occupy all slots.
	for range maxConnections {
		conn, err := net.Dial("unix", c.Socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	var asking sync.WaitGroup
	for range 1000 - maxConnections {
		asking.Go(func() {
			if _, err := c.Status(context.Background(), []string{"a"}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if diff := cmp.Diff(before, rows()); diff != "" {
		t.Errorf("rows (-before +after):\n%s", diff)
	}
	if notes := f.notes(); len(notes) > 0 {
		t.Errorf("workers were concerned: %v", notes)
	}
}

// FuzzRequest sends random requests to a supervisor that has stopped. Each must get an answer in JSON, and only /v1/down
// may succeed.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/v1/status", "name=a&name=b")
	f.Add("POST", "/v1/restart", "all=true")
	f.Add("POST", "/v1/advertise", "name=%zz;")
	f.Add("DELETE", "/../v1/down", "\x00")
	s := New(Options{})
	close(s.stopped)
	h := newHandler(s, "/")
	root := context.WithValue(context.Background(), callerKey{}, caller{known: true})
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(root)
		r.Method, r.URL.Path, r.URL.RawQuery = method, path, query
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !json.Valid(w.Body.Bytes()) {
			t.Errorf("no JSON: %q", w.Body)
		}
		if w.Code == http.StatusOK && path != pathDown {
			t.Errorf("%s %s?%s: answered by a supervisor that has stopped", method, path, query)
		}
	})
}
