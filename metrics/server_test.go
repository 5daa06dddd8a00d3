package metrics

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"joolctl/internal/await"
)

func TestParseAddress(t *testing.T) {
	for _, c := range []struct{ text, want, problem string }{
		{"192.0.2.1", "192.0.2.1:6469", ""},
		{"192.0.2.1:80", "192.0.2.1:80", ""},
		{"2001:db8::1", "[2001:db8::1]:6469", ""},
		{"[2001:db8::1]", "[2001:db8::1]:6469", ""},
		{"[2001:db8::1]:80", "[2001:db8::1]:80", ""},
		{"[fe80::1%eth0]:80", "[fe80::1%eth0]:80", ""},
		{":80", ":80", ""},
		{"unix:/run/joolctl/metrics.sock", "unix:/run/joolctl/metrics.sock", ""},
		{"unix:", "", "--metrics unix: needs the path of a socket"},
		{"", "", `--metrics "" is not an address; write an IP address with or without a port, as 192.0.2.1:6469, [2001:db8::1]:6469 or 127.0.0.1, or unix:PATH`},
		{"80", "", `--metrics "80" is not an address`},
		{"localhost:80", "", `--metrics "localhost:80" is not an address`},
		{"192.0.2.1:0", "", `--metrics "192.0.2.1:0": "0" is not a port from 1 to 65535`},
		{"192.0.2.1:http", "", `"http" is not a port`},
		{"192.0.2.1:65536", "", `"65536" is not a port`},
	} {
		a, err := ParseAddress(c.text)
		if c.problem != "" {
			if err == nil || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("%q: %v, want %q", c.text, err, c.problem)
			}
			continue
		}
		if err != nil || a.String() != c.want {
			t.Errorf("%q: %v, %v", c.text, a, err)
		}
	}
}

// free returns a free port of an address.
func free(t *testing.T, ip string) Address {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(ip, "0"))
	if err != nil {
		t.Skip(err)
	}
	defer l.Close()
	return Address{TCP: l.Addr().(*net.TCPAddr).AddrPort()}
}

// journal collects the log of a test.
type journal struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.b.Write(b)
}

func (j *journal) has(text string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Contains(j.b.String(), text)
}

// served serves the sample on an address until the end of the test.
func served(t *testing.T, a Address) *journal {
	t.Helper()
	log := new(journal)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Serve(ctx, a, New(&source{t: t}, sampleBuild, false).Handler(), slog.New(slog.NewTextHandler(log, nil)))
	}()
	t.Cleanup(func() { cancel(); <-done })
	return log
}

func TestServe(t *testing.T) {
	socket := Address{Path: filepath.Join(t.TempDir(), "run", "m")}
	for _, a := range []Address{free(t, "127.0.0.1"), free(t, "::1"), socket} {
		log := served(t, a)
		await.Within(t, 10*time.Second, "metrics are served on "+a.String(), func() bool { return log.has("metrics are served") })
		url, client := "http://"+a.String(), &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		if a.Path != "" {
			url = "http://joolctl"
			client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", a.Path)
			}}
			if info, err := os.Stat(a.Path); err != nil || info.Mode().Perm() != 0o660 {
				t.Errorf("the socket: %v, %v", info.Mode(), err)
			}
		}
		if body := bodyOf(t, client, url+"/metrics"); !strings.Contains(body, "joolctl_build_info") {
			t.Errorf("%v: %q", a, body)
		}
		if _, err := a.Listen(); err == nil || !strings.Contains(err.Error(), "--metrics") {
			t.Errorf("again on %v: %v", a, err)
		}
	}
}

// TestTaken serves on an address that another program occupies at first. The server must take the address once that
// program ends.
func TestTaken(t *testing.T) {
	a := free(t, "127.0.0.1")
	other, err := net.Listen("tcp", a.String())
	if err != nil {
		t.Skip(err)
	}
	log := served(t, a)
	want := fmt.Sprintf("metrics on %v: bind: address already in use; to find the process that uses it, type: ss -lntp 'sport = :%d'; or choose another port with --metrics", a, a.TCP.Port())
	await.Within(t, 10*time.Second, "a log line: "+want, func() bool { return log.has(want) })
	other.Close()
	await.Within(t, 10*time.Second, "metrics are served", func() bool { return log.has("metrics are served") })
}

func TestListenErrors(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		a    Address
		want string
	}{
		{Address{TCP: netip.MustParseAddrPort("192.0.2.77:6469")}, "metrics on 192.0.2.77:6469: bind: cannot assign requested address; no interface has the address: type: ip address add 192.0.2.77/… dev …"},
		{Address{Path: file}, "metrics socket " + file + ": there is something else; remove it, or use another --metrics"},
		{Address{Path: strings.Repeat("x", 200)}, "use a shorter --metrics"},
	} {
		if _, err := c.a.Listen(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %q", c.a, err, c.want)
		}
	}
}

// TestLargeHeader checks that the server refuses a large header.
func TestLargeHeader(t *testing.T) {
	a := free(t, "127.0.0.1")
	log := served(t, a)
	await.Within(t, 10*time.Second, "metrics are served", func() bool { return log.has("metrics are served") })
	c, err := net.Dial("tcp", a.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /metrics HTTP/1.1\r\nHost: x\r\nX: %s\r\n\r\n", strings.Repeat("x", 2*maxHeader))
	answer := make([]byte, 64)
	n, _ := c.Read(answer)
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 431") {
		t.Errorf("a large header: %q", answer[:n])
	}
}
