package supervisor

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/joolnl"
)

// TestSnapshot checks that Snapshot asks the modules only if requested, and does not wait for a module that does not
// answer.
func TestSnapshot(t *testing.T) {
	answers := new(joolnl.ModuleCounters)
	inBubble(t, func(dir string, f *fleet) {
		write(t, dir, "a", files{instance: "a"})
		write(t, dir, "b", files{instance: "b", group: "2"})
		f.counters = func(ctx context.Context) (*joolnl.ModuleCounters, error) { return answers, nil }
		f.behave("b", func(context.Context, func()) error { return errors.New("boom") })
	}, func(r *rig) {
		s, err := r.Snapshot(context.Background(), false)
		if err != nil || s.Module != nil || len(s.Workers) != 2 || s.Workers[0].Group != "233.252.0.1:6464" || s.At.IsZero() || s.Started.After(s.At) {
			t.Errorf("%+v, %v", s, err)
		}
		if s, err = r.Snapshot(context.Background(), true); err != nil || len(s.Module) != 2 || s.Module[0] != answers || s.Module[1] != nil {
			t.Errorf("module %v, %v", s.Module, err)
		}
		r.fleet.counters = func(ctx context.Context) (*joolnl.ModuleCounters, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		began := time.Now()
		if s, err = r.Snapshot(context.Background(), true); err != nil || s.Module[0] != nil || time.Since(began) > kernelPatience {
			t.Errorf("module %v after %v, %v", s.Module, time.Since(began), err)
		}
	})
}

// TestClientMetrics checks that the client copies the handler's output and returns its errors.
func TestClientMetrics(t *testing.T) {
	dir, socket := t.TempDir(), filepath.Join(t.TempDir(), "s")
	f := newFleet()
	ready := make(chan struct{}, 10)
	s := New(Options{Dir: dir, Socket: socket, NewWorker: f.newWorker, OpenStats: f.openStats, Notify: func(string) { ready <- struct{}{} },
		Metrics: func(*Supervisor) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Get("module") == "true" {
					w.WriteHeader(http.StatusServiceUnavailable)
					_, _ = io.WriteString(w, "the supervisor is stopping\n")
					return
				}
				_, _ = io.WriteString(w, r.Header.Get("Accept"))
			})
		}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-ready
	var out bytes.Buffer
	c := Client{socket}
	if err := c.Metrics(context.Background(), "text/plain", false, &out); err != nil || out.String() != "text/plain" {
		t.Errorf("%q, %v", &out, err)
	}
	if err := c.Metrics(context.Background(), "text/plain", true, &out); err == nil || err.Error() != "the supervisor is stopping" {
		t.Errorf("%v", err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	var none *NoSupervisor
	if err := c.Metrics(context.Background(), "text/plain", false, &out); !errors.As(err, &none) {
		t.Errorf("%v", err)
	}
}

// TestListenUnix checks that messages about another socket than the control socket name that socket's flag.
func TestListenUnix(t *testing.T) {
	path := filepath.Join(t.TempDir(), "m")
	l, err := ListenUnix("metrics socket", "--metrics", path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = ListenUnix("metrics socket", "--metrics", path)
	if err == nil || !strings.HasPrefix(err.Error(), "metrics socket "+path+": another supervisor (process ") || !strings.HasSuffix(err.Error(), "has it; stop that one, or use another --metrics") {
		t.Errorf("%v", err)
	}
	l.Close()
	if l, err = ListenUnix("metrics socket", "--metrics", path); err != nil {
		t.Fatal(err)
	}
	l.Close()
}
