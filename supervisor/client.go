package supervisor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NoSupervisor is the error when no supervisor answers on the control socket.
type NoSupervisor struct {
	Socket string
	Err    error
}

func (n *NoSupervisor) Error() string {
	return fmt.Sprintf("no supervisor answers on %s: %v", n.Socket, n.Err)
}

func (n *NoSupervisor) Unwrap() error { return n.Err }

// Client sends requests to a supervisor over its control socket.
type Client struct{ Socket string }

// clientPatience is longer than any answer needs.
const clientPatience = 20 * time.Second

// Status asks for the named pairs, or for all.
func (c Client) Status(ctx context.Context, names []string) (status Status, err error) {
	err = c.call(ctx, http.MethodGet, pathStatus, url.Values{"name": names}, &status)
	return status, err
}

// Ready asks whether it is safe to fail over to this host: to the named pairs,
// or to all.
func (c Client) Ready(ctx context.Context, names []string, all bool, o ReadyOptions) (ready Ready, err error) {
	query := selectionQuery(names, all)
	if o.AllowAlone {
		query.Set("allow-alone", "true")
	}
	for name, d := range map[string]time.Duration{"patience": o.Patience, "open-after": o.OpenAfter, "max-lag": o.MaxLag} {
		if d > 0 {
			query.Set(name, d.String())
		}
	}
	err = c.call(ctx, http.MethodGet, pathReady, query, &ready)
	return ready, err
}

// Events asks for the events of the named pairs, or of all.
func (c Client) Events(ctx context.Context, names []string, o EventsOptions) (events EventList, err error) {
	query := url.Values{"name": names, "after": {strconv.FormatUint(o.After, 10)}}
	if o.Wait > 0 {
		query.Set("wait", o.Wait.String())
	}
	err = c.call(ctx, http.MethodGet, pathEvents, query, &events)
	return events, err
}

// Advertise starts sending the whole tables of the named pairs, or of all.
func (c Client) Advertise(ctx context.Context, names []string, all bool) (outcomes []Outcome, err error) {
	err = c.call(ctx, http.MethodPost, pathAdvertise, selectionQuery(names, all), &outcomes)
	return outcomes, err
}

// Restart replaces the workers of the named pairs, or of all.
func (c Client) Restart(ctx context.Context, names []string, all bool) (outcomes []Outcome, err error) {
	err = c.call(ctx, http.MethodPost, pathRestart, selectionQuery(names, all), &outcomes)
	return outcomes, err
}

// Reload makes the supervisor read its directory again.
func (c Client) Reload(ctx context.Context) (reload Reload, err error) {
	err = c.call(ctx, http.MethodPost, pathReload, nil, &reload)
	return reload, err
}

// DryRun asks what a reload would change if the supervisor's directory had the content of dir, an absolute path; "" is that directory itself.
func (c Client) DryRun(ctx context.Context, dir string) (reload Reload, err error) {
	query := url.Values{"dry-run": {"true"}}
	if dir != "" {
		query.Set("dir", dir)
	}
	err = c.call(ctx, http.MethodPost, pathReload, query, &reload)
	return reload, err
}

// LogLevel asks for the lowest level that the supervisor logs.
func (c Client) LogLevel(ctx context.Context) (level LogLevel, err error) {
	err = c.call(ctx, http.MethodGet, pathLogLevel, nil, &level)
	return level, err
}

// SetLogLevel changes the lowest level that the supervisor logs.
func (c Client) SetLogLevel(ctx context.Context, name string) (level LogLevel, err error) {
	err = c.call(ctx, http.MethodPost, pathLogLevel, url.Values{"level": {name}}, &level)
	return level, err
}

// Down stops the supervisor.
func (c Client) Down(ctx context.Context) (down Down, err error) {
	err = c.call(ctx, http.MethodPost, pathDown, nil, &down)
	return down, err
}

func selectionQuery(names []string, all bool) url.Values {
	if all {
		return url.Values{"all": {"true"}}
	}
	return url.Values{"name": names}
}

// Metrics copies the metrics of all pairs to w, in a format that the header Accept names; module adds the module's counters.
func (c Client) Metrics(ctx context.Context, accept string, module bool, w io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	query := url.Values{}
	if module {
		query.Set("module", "true")
	}
	answer, err := c.send(ctx, http.MethodGet, pathMetrics, query, http.Header{"Accept": {accept}})
	if err != nil {
		return err
	}
	defer answer.Close()
	from := &source{r: answer}
	if _, err := io.Copy(w, from); err != nil && from.err != nil {
		return &NoSupervisor{c.Socket, reason(from.err)}
	} else if err != nil {
		return err
	}
	return nil
}

// silentAfter is how long /v1/follow may send no line before the client gives up.
const silentAfter = 3 * reportEvery

// Follow passes the sessions of a pair to take as they arrive, until ctx ends or take returns an error, which Follow
// returns too. A supervisor that sends nothing leads to a *NoSupervisor.
func (c Client) Follow(ctx context.Context, name string, take func(Flow) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(silentAfter, cancel)
	defer silent.Stop()
	answer, err := c.send(ctx, http.MethodGet, pathFollow, url.Values{"name": {name}}, http.Header{})
	if err != nil {
		return err
	}
	defer answer.Close()
	for lines := json.NewDecoder(answer); ; {
		var flow Flow
		if err := lines.Decode(&flow); err != nil {
			return &NoSupervisor{c.Socket, reason(err)}
		}
		silent.Reset(silentAfter)
		if err := take(flow); err != nil {
			return err
		}
	}
}

// source is a reader that stores the error that ended it.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(b []byte) (n int, err error) {
	n, err = s.r.Read(b)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// send sends one request and returns the answer. An error of the API is returned with the API's text, an unknown name as an
// *UnknownName, a missing answer as a *NoSupervisor.
func (c Client) send(ctx context.Context, method, path string, query url.Values, header http.Header) (io.ReadCloser, error) {
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
		},
	}
	to := url.URL{Scheme: "http", Host: "joolctl", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, to.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header = header
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, &NoSupervisor{c.Socket, reason(err)}
	}
	if response.StatusCode == http.StatusOK {
		return response.Body, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	switch {
	case err != nil:
		return nil, &NoSupervisor{c.Socket, reason(err)}
	case path == pathMetrics && strings.HasPrefix(response.Header.Get("Content-Type"), "text/plain"):
		return nil, errors.New(strings.TrimSpace(string(body)))
	}
	return nil, c.understood(refusal(body))
}

// call sends one request, as send does, and decodes the answer.
func (c Client) call(ctx context.Context, method, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	from, err := c.send(ctx, method, path, query, http.Header{})
	if err != nil {
		return err
	}
	defer from.Close()
	body, err := io.ReadAll(from)
	if err != nil {
		return &NoSupervisor{c.Socket, reason(err)}
	}
	return c.understood(json.Unmarshal(body, answer))
}

// understood replaces a JSON syntax error by an error which says that the program behind the socket is not a supervisor.
func (c Client) understood(err error) error {
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s answers, but not as a supervisor does", c.Socket)
	}
	return err
}

// reason returns the cause of a network error without the operation and the address.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errors.New("it takes too long")
	}
	return err
}

func refusal(body []byte) error {
	var f failure
	if err := json.Unmarshal(body, &f); err != nil {
		return err
	}
	if f.Unknown != "" {
		return &UnknownName{f.Unknown, f.Known}
	}
	return errors.New(f.Error)
}
