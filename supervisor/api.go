package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// The control API. Requests have their parameters in the URL and no body. Answers are JSON. An error is {"error": "…"};
// the error for an unknown name also lists the known names.
const (
	pathStatus = "/v1/status" // GET, ?name=…: Status
	// GET, ?name=… or ?all=true, and &allow-alone=true, &patience=DURATION, &open-after=DURATION, &max-lag=DURATION:
	// Ready
	pathReady = "/v1/ready"
	// GET, ?module=true adds the module's counters: the text that Options.Metrics writes, not JSON
	pathMetrics = "/v1/metrics"
	// GET, ?name=…&after=NUMBER&wait=DURATION: EventList. The request waits up to DURATION (at most 10s) for the first
	// event.
	pathEvents = "/v1/events"
	// GET, ?name=…: one Flow per line, for as long as the client reads and the worker runs
	pathFollow    = "/v1/follow"
	pathAdvertise = "/v1/advertise" // POST, ?name=… or ?all=true: []Outcome
	pathRestart   = "/v1/restart"   // POST, ?name=… or ?all=true: []Outcome
	pathReload    = "/v1/reload"    // POST: Reload
	pathDown      = "/v1/down"      // POST: Down
	// GET, or POST ?level=…: LogLevel
	pathLogLevel = "/v1/log-level"
)

// Down is the answer to /v1/down, sent after the workers have stopped.
type Down struct {
	// Hung lists the workers that have not stopped in time.
	Hung []string `json:"hung"`
}

// failure is the JSON of an error.
type failure struct {
	Error string `json:"error"`
	// Unknown is the requested name that no pair has. Known lists the names of the pairs.
	Unknown string   `json:"unknown,omitempty"`
	Known   []string `json:"known,omitempty"`
}

// handler serves the control API of one supervisor.
type handler struct {
	supervisor *Supervisor
	socket     string
	endpoints  map[string]endpoint
	metrics    http.Handler // nil: the API has no metrics
}

type endpoint struct {
	method string // GET, or a method that only callers with permission to change the state may use
	// get answers GET where method is another one; nil: GET is not allowed.
	get   func(context.Context, url.Values) (any, error)
	serve func(context.Context, url.Values) (any, error)
}

func newHandler(s *Supervisor, socket string) *handler {
	h := &handler{supervisor: s, socket: socket, endpoints: map[string]endpoint{
		pathStatus: {method: http.MethodGet, serve: func(ctx context.Context, q url.Values) (any, error) {
			return s.Status(ctx, q["name"])
		}},
		pathReady: {method: http.MethodGet, serve: func(ctx context.Context, q url.Values) (any, error) {
			o, err := ParseReadyOptions(q)
			if err != nil {
				return nil, err
			}
			return forNames(func(ctx context.Context, names []string, all bool) (Ready, error) {
				return s.Ready(ctx, names, all, o)
			})(ctx, q)
		}},
		pathEvents: {method: http.MethodGet, serve: func(ctx context.Context, q url.Values) (any, error) {
			o, err := parseEventsOptions(q)
			if err != nil {
				return nil, err
			}
			return s.Events(ctx, q["name"], o)
		}},
		pathAdvertise: {method: http.MethodPost, serve: forNames(s.Advertise)},
		pathRestart:   {method: http.MethodPost, serve: forNames(s.Restart)},
		pathReload: {method: http.MethodPost, serve: func(ctx context.Context, q url.Values) (any, error) {
			if q.Get("dry-run") == "true" {
				return s.DryRun(ctx, q.Get("dir"))
			}
			return s.Reload(ctx)
		}},
		pathLogLevel: {method: http.MethodPost,
			serve: func(ctx context.Context, q url.Values) (any, error) { return s.SetLogLevel(ctx, q.Get("level")) },
			get:   func(context.Context, url.Values) (any, error) { return s.LogLevel() },
		},
		pathDown: {method: http.MethodPost, serve: func(ctx context.Context, _ url.Values) (any, error) {
			hung, err := s.Down(ctx)
			return Down{hung}, err
		}},
	}}
	if s.opt.Metrics != nil {
		h.metrics = s.opt.Metrics(s)
	}
	return h
}

var errNoNames = errors.New("name pairs by ?name=…, or all of them by ?all=true")

// errNoDuration is wrapped by the error about a parameter that is not a duration.
var errNoDuration = errors.New("wants a duration, as in 5m")

// ParseReadyOptions reads the options from a query: allow-alone=true, patience=DURATION, open-after=DURATION and max-lag=DURATION.
func ParseReadyOptions(q url.Values) (o ReadyOptions, err error) {
	o.AllowAlone = q.Get("allow-alone") == "true"
	if o.Patience, err = duration(q, "patience"); err != nil {
		return o, err
	}
	if o.OpenAfter, err = duration(q, "open-after"); err != nil {
		return o, err
	}
	o.MaxLag, err = duration(q, "max-lag")
	return o, err
}

// duration parses a parameter of a query. It returns 0 if the query does not have the parameter.
func duration(q url.Values, name string) (time.Duration, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%s %w", name, errNoDuration)
	}
	return d, nil
}

func forNames[T any](do func(context.Context, []string, bool) (T, error)) func(context.Context, url.Values) (any, error) {
	return func(ctx context.Context, q url.Values) (any, error) {
		names, all := q["name"], q.Get("all") == "true"
		if all == (len(names) > 0) {
			return nil, errNoNames
		}
		return do(ctx, names, all)
	}
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == pathMetrics && h.metrics != nil && r.Method == http.MethodGet && r.ContentLength == 0 {
		h.metrics.ServeHTTP(w, r)
		return
	}
	if r.URL.Path == pathFollow && r.Method == http.MethodGet && r.ContentLength == 0 {
		h.follow(w, r)
		return
	}
	code, answer := h.answer(w, r)
	writeAnswer(w, code, answer)
}

func writeAnswer(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	json.NewEncoder(w).Encode(answer)
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request) (code int, answer any) {
	if r.ContentLength != 0 {
		// After this handler, the server reads the rest of the body. The deadline limits the time for that.
		http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerPatience))
		return http.StatusRequestEntityTooLarge, failure{Error: "the control API takes no bodies"}
	}
	e, ok := h.endpoints[r.URL.Path]
	if !ok {
		return http.StatusNotFound, failure{Error: fmt.Sprintf("the control API has no %.100q", r.URL.Path)}
	}
	if r.Method == http.MethodGet && e.get != nil {
		e = endpoint{method: http.MethodGet, serve: e.get}
	}
	if r.Method != e.method {
		w.Header().Set("Allow", e.method)
		return http.StatusMethodNotAllowed, failure{Error: fmt.Sprintf("%s takes %s only", r.URL.Path, e.method)}
	}
	if e.method != http.MethodGet {
		who, _ := r.Context().Value(callerKey{}).(caller)
		if !who.mayChange(h.socket) {
			return http.StatusForbidden, failure{Error: "you may read, but not change: " + LetIn(h.socket)}
		}
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return http.StatusBadRequest, failure{Error: "the query can't be read"}
	}
	answer, err = e.serve(r.Context(), query)
	if err != nil {
		return errorAnswer(err)
	}
	return http.StatusOK, answer
}

func errorAnswer(err error) (code int, answer failure) {
	answer.Error = err.Error()
	var unknown *UnknownName
	switch {
	case errors.As(err, &unknown):
		answer.Unknown, answer.Known = unknown.Name, unknown.Known
		return http.StatusNotFound, answer
	case errors.Is(err, errNoNames), errors.Is(err, errNoDuration), errors.Is(err, errNoNumber), errors.Is(err, errNoLevel):
		return http.StatusBadRequest, answer
	case errors.Is(err, ErrStopping):
		return http.StatusServiceUnavailable, answer
	}
	return http.StatusInternalServerError, answer
}
