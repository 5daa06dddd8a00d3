package metrics

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"joolctl/supervisor"
)

const (
	// maxScrapes is the number of scrapes served at the same time. One scraper has one scrape under way.
	maxScrapes = 4
	// patience limits how long a scrape waits for the supervisor and for the module.
	patience = 5 * time.Second
)

// Source is the part of *supervisor.Supervisor that an Exporter uses.
type Source interface {
	Snapshot(ctx context.Context, module bool) (supervisor.Snapshot, error)
	Ready(ctx context.Context, names []string, all bool, o supervisor.ReadyOptions) (supervisor.Ready, error)
}

// Exporter answers HTTP requests with the metrics of a supervisor.
type Exporter struct {
	source Source
	build  Build
	module bool
	slots  chan struct{}
}

// New returns an Exporter. If module is true, each scrape includes the counters of the module. Otherwise, only scrapes
// with ?module=true include them.
func New(source Source, build Build, module bool) *Exporter {
	return &Exporter{source, build, module, make(chan struct{}, maxScrapes)}
}

// ServeHTTP answers with the metrics.
func (x *Exporter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case x.slots <- struct{}{}:
		defer func() { <-x.slots }()
	default:
		w.Header().Set("Retry-After", "1")
		http.Error(w, fmt.Sprintf("%d scrapes are under way, which is the limit; scrape less often, or from fewer places", maxScrapes), http.StatusServiceUnavailable)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	snapshot, err := x.source.Snapshot(ctx, x.module || r.URL.Query().Get("module") == "true")
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	format := Negotiate(r.Header.Get("Accept"))
	w.Header().Set("Content-Type", format.ContentType())
	w.Header().Add("Vary", "Accept")
	if r.Method == http.MethodHead {
		return
	}
	_ = Encode(w, format, &snapshot, x.build) // an error means that the scraper closed the connection
}

// Handler returns the handler of the server that `joolctl up --metrics` starts: the metrics at /metrics, the supervisor's health at
// /healthz, whether this host is ready to take over at /readyz, and a page with links to them.
func (x *Exporter) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", landing)
	mux.Handle("GET /metrics", x)
	mux.HandleFunc("GET /healthz", x.health)
	mux.HandleFunc("GET /readyz", x.ready)
	return mux
}

const page = `<!DOCTYPE html>
<html lang="en">
<head><meta charset="utf-8"><title>joolctl</title></head>
<body>
<h1>joolctl</h1>
<ul>
<li><a href="metrics">metrics</a>, in the format of Prometheus or OpenMetrics</li>
<li><a href="healthz">healthz</a>: 200 if the supervisor answers</li>
<li><a href="readyz">readyz</a>: 200 if it is safe to fail over to this host, as <code>joolctl ready --all</code> says</li>
</ul>
</body>
</html>
`

func landing(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = io.WriteString(w, page) // an error means that the client closed the connection
}

func plain(w http.ResponseWriter, code int) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
}

// health answers 200 if the supervisor answers requests.
func (x *Exporter) health(w http.ResponseWriter, r *http.Request) {
	if _, err := x.source.Ready(r.Context(), nil, true, supervisor.ReadyOptions{}); err != nil {
		plain(w, http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	}
	plain(w, http.StatusOK)
	fmt.Fprintln(w, "ok")
}

// ready gives the answer of `joolctl ready --all`: 200 if all pairs are ready, else 503 with the reasons. The query may
// contain that command's options.
func (x *Exporter) ready(w http.ResponseWriter, r *http.Request) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	var o supervisor.ReadyOptions
	if err == nil {
		o, err = supervisor.ParseReadyOptions(query)
	}
	if err != nil {
		plain(w, http.StatusBadRequest)
		fmt.Fprintln(w, err)
		return
	}
	answer, err := x.source.Ready(r.Context(), nil, true, o)
	switch {
	case err != nil:
		plain(w, http.StatusServiceUnavailable)
		fmt.Fprintln(w, err)
		return
	case answer.Ready:
		plain(w, http.StatusOK)
	default:
		plain(w, http.StatusServiceUnavailable)
	}
	if len(answer.Pairs) == 0 {
		fmt.Fprintln(w, "the directory has no pairs")
	}
	answer.WriteLines(w, time.Now())
}
