package configdir

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// ParsePort parses a UDP port as upstream's joold accepts it in its files and as its third argument: a number
// from 1 to 65535, or a service's name as in /etc/services. The error says which values are valid.
func ParsePort(s string) (uint16, error) {
	port, wrong := parsePort(s)
	if wrong != "" {
		return 0, errors.New(wrong + "; write a number from 1 to 65535 or the name of a UDP service")
	}
	return port, nil
}

// parsePort returns a description of the problem instead of an error, because each caller adds its own advice.
func parsePort(s string) (port uint16, wrong string) {
	if s != "" && strings.Trim(s, "0123456789") == "" {
		number, err := strconv.ParseUint(s, 10, 16)
		if err != nil || number == 0 {
			return 0, quote(s) + " is out of range"
		}
		return uint16(number), ""
	}
	unknown := fmt.Sprintf("%s is neither a port number nor a UDP service in /etc/services", quote(s))
	if s == "" || strings.ContainsAny(s[:1], "+-0123456789") && strings.Trim(s[1:], "0123456789") == "" {
		// The resolver would accept a sign.
		return 0, unknown
	}
	// Go's own resolver reads only /etc/services, and asks no name service, which could hang.
	number, err := (&net.Resolver{PreferGo: true}).LookupPort(context.Background(), "udp", s)
	if err != nil || number < 1 || number > 65535 {
		return 0, unknown
	}
	return uint16(number), ""
}

func setPort(s *Spec, v value) *complaint {
	if c := v.port(&s.Port); c != nil {
		return c
	}
	if jsontext.Value(v.raw).Kind() == '0' {
		return &complaint{
			what: "upstream's C joold takes a string only", write: fmt.Sprintf(`write "%d"`, s.Port), advice: true,
		}
	}
	return nil
}

// port stores a port, a string or a number, in target.
func (v value) port(target *uint16) *complaint {
	switch jsontext.Value(v.raw).Kind() {
	case '0':
		number := 0
		c := v.whole(&number, 1, 65535)
		*target = uint16(number)
		return c
	case '"':
		text, c := v.text()
		if c != nil {
			return c
		}
		port, what := parsePort(text)
		if what != "" {
			return wrong("%s", what)
		}
		*target = port
		return nil
	}
	return v.wrongType("a string or a number")
}
