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
	"time"
)

// NoSupervisor is the error where none answers.
type NoSupervisor struct {
	Socket string
	Err    error
}

func (n *NoSupervisor) Error() string {
	return fmt.Sprintf("no supervisor answers on %s: %v", n.Socket, n.Err)
}

func (n *NoSupervisor) Unwrap() error { return n.Err }

// Client asks a supervisor over its control socket.
type Client struct{ Socket string }

// clientPatience is longer than any answer takes.
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

// Advertise has the named workers, or all, begin to send their tables.
func (c Client) Advertise(ctx context.Context, names []string, all bool) (outcomes []Outcome, err error) {
	err = c.call(ctx, http.MethodPost, pathAdvertise, selectionQuery(names, all), &outcomes)
	return outcomes, err
}

// Restart replaces the workers of the named pairs, or of all.
func (c Client) Restart(ctx context.Context, names []string, all bool) (outcomes []Outcome, err error) {
	err = c.call(ctx, http.MethodPost, pathRestart, selectionQuery(names, all), &outcomes)
	return outcomes, err
}

// Reload has the directory read again.
func (c Client) Reload(ctx context.Context) (reload Reload, err error) {
	err = c.call(ctx, http.MethodPost, pathReload, nil, &reload)
	return reload, err
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

// call sends one request. An error of the API comes back in its words, an
// unknown name as an *UnknownName, silence as a *NoSupervisor.
func (c Client) call(ctx context.Context, method, path string, query url.Values, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, clientPatience)
	defer cancel()
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.Socket)
		},
	}
	to := url.URL{Scheme: "http", Host: "joolctl", Path: path, RawQuery: query.Encode()}
	request, err := http.NewRequestWithContext(ctx, method, to.String(), nil)
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return &NoSupervisor{c.Socket, reason(err)}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return &NoSupervisor{c.Socket, reason(err)}
	}
	if response.StatusCode == http.StatusOK {
		err = json.Unmarshal(body, answer)
	} else {
		err = refusal(body)
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("%s answers, but not as a supervisor does", c.Socket)
	}
	return err
}

// reason is what went wrong without what was tried.
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
