package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"joolctl/session"
	"joolctl/supervisor"
	"joolctl/worker"
)

func newFollow(p *program) *cobra.Command {
	var out *output
	var protocol, address, direction string
	var port uint16
	cmd := &cobra.Command{
		Use:   "follow NAME",
		Short: "Show the sessions that pass through a pair's worker, as they pass",
		Long: `Show the sessions that pass through the worker of a pair, until interrupted.

  out        reported by the module of this host, for the peers. Sessions of which
             only the time left has changed are not sent to the peers each time
  in         of a peer's live datagram or retransmission, given to the module
  full-sync  of a peer's table, given to the module

The command shows copies, so it does not affect the replication. If the output is
read too slowly, sessions are left out, and a line says how many.
A session names hosts that talk to each other, so the command needs the right to
change the supervisor.

With -o csv, the first columns are those of "jool session display --csv". With
-o json, each line is a JSON object.`,
		Example: `  joolctl follow blue --address 2001:db8::/32
  joolctl follow blue --protocol tcp --port 443 --direction out -o json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			filter, err := newSessionFilter(protocol, address, port, direction)
			if err != nil {
				return err
			}
			if err := p.follow(cmd.Context(), args[0], filter, sessionPrinters[out.name]()); err != nil {
				return failed{err}
			}
			return nil
		},
		ValidArgsFunction: p.completeNames,
	}
	out = newOutput(cmd, "text", "csv", "json")
	flags := cmd.Flags()
	flags.StringVar(&protocol, "protocol", "", "only sessions of this `protocol`: tcp, udp or icmp")
	flags.StringVar(&address, "address", "", "only sessions with an `address` of this prefix, such as 192.0.2.1 or 2001:db8::/32")
	flags.Uint16Var(&port, "port", 0, "only sessions with this `port`, or ICMP identifier")
	flags.StringVar(&direction, "direction", "", "only sessions of this `direction`: out, in or full-sync")
	return cmd
}

// follow prints the sessions of a pair until ctx ends. If the worker or the supervisor is replaced, it continues with
// the new one.
func (p *program) follow(ctx context.Context, name string, filter sessionFilter, print sessionPrinter) error {
	began, interrupted := false, ""
	for {
		err := p.client().Follow(ctx, name, func(f supervisor.Flow) error {
			began = true
			if len(f.Entries) > 0 {
				interrupted = ""
			}
			if f.Dropped > 0 {
				fmt.Fprintf(p.stderr, "joolctl: %d sessions are left out here, because the output is read too slowly\n", f.Dropped)
			}
			if f.Ended != "" {
				return &workerEnded{f.Ended}
			}
			return p.printFlow(f, filter, print)
		})
		var none *supervisor.NoSupervisor
		var unknown *supervisor.UnknownName
		var unwritten *unwritten
		switch {
		case ctx.Err() != nil:
			return nil
		case !began, errors.As(err, &unknown), errors.As(err, &unwritten):
			return err
		case interrupted != err.Error():
			interrupted = err.Error()
			if errors.As(err, &none) {
				interrupted = explain(err)
			}
			fmt.Fprintf(p.stderr, "joolctl: %s; waiting\n", interrupted)
			interrupted = err.Error()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(askAgainAfter):
		}
	}
}

// workerEnded is the error when the worker's stream of sessions has ended.
type workerEnded struct{ reason string }

func (w *workerEnded) Error() string { return w.reason }

// unwritten is an error of the output.
type unwritten struct{ error }

// printFlow prints the sessions that the filter selects.
func (p *program) printFlow(f supervisor.Flow, filter sessionFilter, print sessionPrinter) error {
	format := session.ListFormat(f.Entries)
	length := format.EntryLen()
	for rest := f.Entries; length > 0 && len(rest) >= length; rest = rest[length:] {
		s, err := format.Decode(rest[:length], f.Pool6)
		if err != nil {
			fmt.Fprintf(p.stderr, "joolctl: a session of %s, %s, is left out here, because it cannot be decoded: %v\n", f.Time.Local().Format(time.TimeOnly), f.Direction, err)
			continue
		}
		if !filter.selects(f.Direction, s) {
			continue
		}
		if err := print(p.stdout, f, s); err != nil {
			return &unwritten{err}
		}
	}
	return nil
}

// sessionFilter selects sessions. The zero value selects all.
type sessionFilter struct {
	protocol  string // in the form of Proto.String
	prefix    netip.Prefix
	port      uint16
	direction worker.Direction
}

func newSessionFilter(protocol, address string, port uint16, direction string) (f sessionFilter, err error) {
	f = sessionFilter{protocol: strings.ToUpper(protocol), port: port, direction: worker.Direction(direction)}
	switch f.protocol {
	case "", session.TCP.String(), session.UDP.String(), session.ICMP.String():
	default:
		return f, fmt.Errorf("there is no protocol %q; write tcp, udp or icmp", protocol)
	}
	switch f.direction {
	case "", worker.Out, worker.In, worker.FullSync:
	default:
		return f, fmt.Errorf("there is no direction %q; write %s, %s or %s", direction, worker.Out, worker.In, worker.FullSync)
	}
	if address == "" {
		return f, nil
	}
	if f.prefix, err = netip.ParsePrefix(address); err == nil {
		f.prefix = f.prefix.Masked()
		return f, nil
	}
	one, err := netip.ParseAddr(address)
	if err != nil {
		return f, fmt.Errorf("--address %q is neither an address nor a prefix, as in 192.0.2.0/24", address)
	}
	f.prefix = netip.PrefixFrom(one, one.BitLen())
	return f, nil
}

func (f sessionFilter) selects(d worker.Direction, s session.Session) bool {
	if f.direction != "" && f.direction != d || f.protocol != "" && f.protocol != s.Proto.String() {
		return false
	}
	ends := []netip.AddrPort{s.Src6, s.Dst6, s.Src4, s.Dst4}
	matches := func(is func(netip.AddrPort) bool) bool {
		return slices.ContainsFunc(ends, is)
	}
	return (f.port == 0 || matches(func(end netip.AddrPort) bool { return end.Port() == f.port })) &&
		(!f.prefix.IsValid() || matches(func(end netip.AddrPort) bool { return f.prefix.Contains(end.Addr()) }))
}

// sessionPrinter prints a session of a Flow.
type sessionPrinter func(w io.Writer, f supervisor.Flow, s session.Session) error

// sessionPrinters has a constructor for each value of the flag -o.
var sessionPrinters = map[string]func() sessionPrinter{
	"text": func() sessionPrinter { return printSession },
	"csv":  newCSVPrinter,
	"json": func() sessionPrinter { return printSessionJSON },
}

// printSession prints a session on one line: the IPv6 side, then the IPv4 side.
func printSession(w io.Writer, f supervisor.Flow, s session.Session) error {
	_, err := fmt.Fprintf(w, "%s  %-9s  %-4s  %v > %v  %v > %v  %s  %v\n", f.Time.Local().Format("15:04:05.000"), f.Direction, s.Proto,
		s.Src6, s.Dst6, s.Src4, s.Dst4, stateOf(s), s.Expires)
	return err
}

// stateOf returns the state of a TCP session; "-" for other protocols.
func stateOf(s session.Session) string {
	if s.Proto != session.TCP {
		return "-"
	}
	return s.State.String()
}

// csvHead has the columns of `jool session display --csv`, followed by joolctl's own.
const csvHead = "Protocol,IPv6 Remote Address,IPv6 Remote L4-ID,IPv6 Local Address,IPv6 Local L4-ID," +
	"IPv4 Local Address,IPv4 Local L4-ID,IPv4 Remote Address,IPv4 Remote L4-ID,Expires in,State,Time,Direction\n"

// newCSVPrinter returns a printer that prints the column names before the first session.
func newCSVPrinter() sessionPrinter {
	head := csvHead
	return func(w io.Writer, f supervisor.Flow, s session.Session) error {
		state := ""
		if s.Proto == session.TCP {
			state = s.State.String()
		}
		_, err := fmt.Fprintf(w, "%s%v,%v,%d,%v,%d,%v,%d,%v,%d,%s,%s,%s,%s\n", head, s.Proto, s.Src6.Addr(), s.Src6.Port(), s.Dst6.Addr(), s.Dst6.Port(),
			s.Src4.Addr(), s.Src4.Port(), s.Dst4.Addr(), s.Dst4.Port(), clock(s.Expires), state, f.Time.UTC().Format(time.RFC3339Nano), f.Direction)
		head = ""
		return err
	}
}

// clock returns a remaining time in the form of upstream's CSV.
func clock(d time.Duration) string {
	ms := d.Milliseconds()
	return fmt.Sprintf("%d:%02d:%02d.%03d", ms/3600000, ms/60000%60, ms/1000%60, ms%1000)
}

// followedSession is a line of `joolctl follow NAME -o json`.
type followedSession struct {
	// Time is when the session passed through the worker.
	Time time.Time `json:"time"`
	// Direction is out, in or full-sync.
	Direction worker.Direction `json:"direction"`
	// Protocol is TCP, UDP or ICMP.
	Protocol string `json:"protocol"`
	// State is the state of a TCP session. It is missing for other protocols.
	State string `json:"state,omitempty"`
	// Expires is the time that the session has left.
	Expires float64 `json:"expires_seconds"`
	// Remote6 is the IPv6 host and its port, or ICMP identifier.
	Remote6 string `json:"ipv6_remote"`
	// Local6 is the IPv4 host as the IPv6 host sees it.
	Local6 string `json:"ipv6_local"`
	// Local4 is the IPv6 host as the IPv4 host sees it.
	Local4 string `json:"ipv4_local"`
	// Remote4 is the IPv4 host.
	Remote4 string `json:"ipv4_remote"`
}

func printSessionJSON(w io.Writer, f supervisor.Flow, s session.Session) error {
	return json.NewEncoder(w).Encode(followedSessionOf(f, s))
}

func followedSessionOf(f supervisor.Flow, s session.Session) followedSession {
	line := followedSession{Time: f.Time, Direction: f.Direction, Protocol: s.Proto.String(), Expires: s.Expires.Seconds(),
		Remote6: s.Src6.String(), Local6: s.Dst6.String(), Local4: s.Src4.String(), Remote4: s.Dst4.String()}
	if s.Proto == session.TCP {
		line.State = s.State.String()
	}
	return line
}
