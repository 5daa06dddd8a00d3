package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"joolctl/replication"
	"joolctl/supervisor"
)

// source is a Source with fixed answers.
type source struct {
	t       *testing.T
	err     error
	ready   supervisor.Ready
	options supervisor.ReadyOptions
	block   chan struct{} // Snapshot waits for it, unless it is nil
	entered chan struct{}
}

func (s *source) Snapshot(_ context.Context, module bool) (supervisor.Snapshot, error) {
	if s.block != nil {
		s.entered <- struct{}{}
		<-s.block
	}
	snapshot := *sample(s.t)
	if !module {
		snapshot.Module = nil
	}
	return snapshot, s.err
}

func (s *source) Ready(_ context.Context, names []string, all bool, o supervisor.ReadyOptions) (supervisor.Ready, error) {
	if names != nil || !all {
		s.t.Errorf("asked for %v, all %v", names, all)
	}
	s.options = o
	return s.ready, s.err
}

// get sends a request to a handler and returns the answer.
func get(h http.Handler, method, target, accept string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestHandler(t *testing.T) {
	yes := supervisor.Ready{Ready: true, Pairs: []supervisor.PairReady{{Name: "p1", Ready: true}}}
	no := supervisor.Ready{Pairs: []supervisor.PairReady{{Name: "p1", Reasons: []replication.Reason{{Text: "no peer has been heard", Remedy: "type: ip link"}}}}}
	stops := errors.New("the supervisor is stopping")
	for _, c := range []struct {
		name, method, target string
		source               source
		module               bool
		code                 int
		body                 string
	}{
		{"landing page", "GET", "/", source{}, false, 200, `<a href="metrics">`},
		{"another page", "GET", "/nothing", source{}, false, 404, ""},
		{"a change", "POST", "/metrics", source{}, false, 405, ""},
		{"metrics", "GET", "/metrics", source{}, false, 200, "joolctl_sessions{pair=\"p1\"} 40000\n"},
		{"metrics with the module", "GET", "/metrics", source{}, true, 200, "jool_sessions{pair=\"p1\"} 1004\n"},
		{"metrics, asked for the module", "GET", "/metrics?module=true", source{}, false, 200, "jool_sessions{pair=\"p1\"} 1004\n"},
		{"head of metrics", "HEAD", "/metrics", source{}, false, 200, ""},
		{"no metrics", "GET", "/metrics", source{err: stops}, false, 503, "the supervisor is stopping\n"},
		{"healthy", "GET", "/healthz", source{ready: no}, false, 200, "ok\n"},
		{"not healthy", "GET", "/healthz", source{err: stops}, false, 503, "the supervisor is stopping\n"},
		{"ready", "GET", "/readyz", source{ready: yes}, false, 200, "p1: yes\n"},
		{"not ready", "GET", "/readyz", source{ready: no}, false, 503, "p1: no peer has been heard; type: ip link\n"},
		{"no pairs", "GET", "/readyz", source{}, false, 503, "the directory has no pairs\n"},
		{"unknown", "GET", "/readyz", source{err: stops}, false, 503, "the supervisor is stopping\n"},
		{"wrong option", "GET", "/readyz?patience=long", source{}, false, 400, "patience wants a duration, as in 5m\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.source.t = t
			w := get(New(&c.source, sampleBuild, c.module).Handler(), c.method, c.target, "")
			if w.Code != c.code || !strings.Contains(w.Body.String(), c.body) {
				t.Errorf("%d %q, want %d %q", w.Code, w.Body, c.code, c.body)
			}
			if c.method == "HEAD" && w.Body.Len() > 0 {
				t.Errorf("a body: %q", w.Body)
			}
		})
	}
}

// TestReadyOptions checks that /readyz accepts the options of `joolctl ready`.
func TestReadyOptions(t *testing.T) {
	s := &source{t: t}
	get(New(s, sampleBuild, false).Handler(), "GET", "/readyz?allow-alone=true&patience=5m&open-after=10m&max-lag=1s", "")
	if o := s.options; !o.AllowAlone || o.Patience.Minutes() != 5 || o.OpenAfter.Minutes() != 10 || o.MaxLag.Seconds() != 1 {
		t.Errorf("%+v", o)
	}
}

func TestNegotiate(t *testing.T) {
	for accept, want := range map[string]Format{
		"": Text, "*/*": Text, "text/plain": Text, "text/html,application/xhtml+xml,*/*;q=0.8": Text, "nonsense;;;,": Text,
		"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1": OpenMetrics,
		"application/openmetrics-text; version=1.0.0; charset=utf-8":                                                                            OpenMetrics,
		"text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5":                                                                     Text,
		"application/openmetrics-text;q=0":                                                                                                      Text,
		"application/openmetrics-text;version=2.0.0":                                                                                            Text,
		"application/openmetrics-text;q=x,text/plain;q=0.1":                                                                                     Text,
	} {
		w := get(New(&source{t: t}, sampleBuild, false), "GET", "/metrics", accept)
		if got := w.Header().Get("Content-Type"); got != want.ContentType() || strings.Contains(w.Body.String(), "# EOF") != (want == OpenMetrics) {
			t.Errorf("Accept %q: %q", accept, got)
		}
	}
}

// TestTooManyScrapes checks that scrapes beyond the limit are refused.
func TestTooManyScrapes(t *testing.T) {
	s := &source{t: t, block: make(chan struct{}), entered: make(chan struct{}, maxScrapes)}
	x := New(s, sampleBuild, false)
	done := make(chan int, maxScrapes)
	for range maxScrapes {
		go func() { done <- get(x, "GET", "/metrics", "").Code }()
		<-s.entered
	}
	if w := get(x, "GET", "/metrics", ""); w.Code != 503 || w.Header().Get("Retry-After") != "1" || !strings.HasPrefix(w.Body.String(), "4 scrapes are under way") {
		t.Errorf("%d %q", w.Code, w.Body)
	}
	close(s.block)
	for range maxScrapes {
		if code := <-done; code != 200 {
			t.Errorf("code %d", code)
		}
	}
	s.block = nil
	if w := get(x, "GET", "/metrics", ""); w.Code != 200 {
		t.Errorf("after that: %d %q", w.Code, w.Body)
	}
}

// bodyOf returns the body of a page.
func bodyOf(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
