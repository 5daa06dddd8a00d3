package metrics

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"joolctl/supervisor"
)

// DefaultPort is the TCP port of an Address that names none. It lies outside of 9100 to 9999, where Prometheus' exporters crowd.
const DefaultPort = 6469

// Address is where metrics are served.
type Address struct {
	// Path is the path of a Unix socket; "": TCP is the address. If TCP has no IP address, it means all addresses of the host.
	Path string
	TCP  netip.AddrPort
}

// ParseAddress reads the value of the flag --metrics: ADDRESS, ADDRESS:PORT, [IPV6]:PORT, :PORT or unix:PATH.
func ParseAddress(text string) (a Address, err error) {
	if path, is := strings.CutPrefix(text, "unix:"); is {
		if path == "" {
			return a, errors.New("--metrics unix: needs the path of a socket; write for example --metrics unix:/run/joolctl/metrics.sock")
		}
		return Address{Path: path}, nil
	}
	bare := text
	if strings.HasPrefix(text, "[") && strings.HasSuffix(text, "]") {
		bare = text[1 : len(text)-1]
	}
	if ip, err := netip.ParseAddr(bare); err == nil {
		return Address{TCP: netip.AddrPortFrom(ip, DefaultPort)}, nil
	}
	host, portText, err := net.SplitHostPort(text)
	if err != nil {
		return a, wrongAddress(text)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return a, fmt.Errorf("--metrics %q: %q is not a port from 1 to 65535", text, portText)
	}
	var ip netip.Addr
	if host != "" {
		if ip, err = netip.ParseAddr(host); err != nil {
			return a, wrongAddress(text)
		}
	}
	return Address{TCP: netip.AddrPortFrom(ip, uint16(port))}, nil
}

func wrongAddress(text string) error {
	return fmt.Errorf("--metrics %q is not an address; write an IP address with or without a port, as 192.0.2.1:%d, [2001:db8::1]:%[2]d or 127.0.0.1, or unix:PATH", text, DefaultPort)
}

// String is the address as it is shown in messages.
func (a Address) String() string {
	switch {
	case a.Path != "":
		return "unix:" + a.Path
	case !a.TCP.Addr().IsValid():
		return fmt.Sprintf(":%d", a.TCP.Port())
	}
	return a.TCP.String()
}

// Listen listens on the address. A Unix socket has the mode and the group of the control socket. An error says what to type next.
func (a Address) Listen() (net.Listener, error) {
	if a.Path != "" {
		return supervisor.ListenUnix("metrics socket", "--metrics", a.Path)
	}
	l, err := net.Listen("tcp", a.String())
	if err == nil {
		return l, nil
	}
	next := ""
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		next = fmt.Sprintf("; to find the process that uses it, type: ss -lntp 'sport = :%d'; or choose another port with --metrics", a.TCP.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL):
		next = fmt.Sprintf("; no interface has the address: type: ip address add %v/… dev …", a.TCP.Addr().WithZone(""))
	case errors.Is(err, unix.EACCES):
		next = "; choose a port from 1024 on, or give the service CAP_NET_BIND_SERVICE"
	}
	return nil, fmt.Errorf("metrics on %v: %w%s", a, err, next)
}
