package configdir

import (
	"fmt"
	"strings"
)

// badFiles are files with problems. testdata/messages.golden has their messages. The fuzz tests use them as
// seeds.
var badFiles = func() []badFile {
	net := func(more string) badFile { return badFile{netsocket, fmt.Sprintf(full, more)} }
	mod := func(text string) badFile { return badFile{modsocket, text} }
	all := func(text string) badFile { return badFile{netsocket, text} }
	groupOf := func(address string) badFile {
		return all(`{"multicast address": ` + address + `, "multicast port": "6464", "in interface": "eth0", "out interface": "eth0", "reuseaddr": 1}`)
	}
	port := func(port string) badFile {
		return all(`{"multicast address": "ff08::1", "multicast port": ` + port + `, "in interface": "eth0", "out interface": "eth0", "reuseaddr": 1}`)
	}
	in := func(name string) badFile {
		return all(`{` + group + `, "in interface": ` + name + `, "out interface": "eth0", "reuseaddr": 1}`)
	}
	peers := func(list string) badFile {
		return all(`{"peers": ` + list + `, "port": "6464", "reuseaddr": 1, "key file": "x"}`)
	}
	return []badFile{
		// Not an object, or an incomplete one.
		all(""), all(" \n\t\n"), mod(""), all("\xef\xbb\xbf{}"), all("\x00"), all("\xff\xfe{"),
		all("[]"), all(`"x"`), all("null"), all("3"), mod("true"), all("["), all("]"), all("}"),
		all("{"), all("{\n"), all(`{"multicast address"`), all(`{"multicast address": `), all("{\"multicast address\": \"ff08::1\",\n"),
		all(`{"multicast address": "ff08:`), all("{\"multicast address\": \"ff08::1\"\n\n\n"),
		mod("{}{}"), mod("{}\n\nx"), mod(`{"instance": "nat"}}`), mod("{}\x00"),
		// Typing mistakes.
		mod("{\n  \"instance\": \"nat\",\n}"), mod("{\n  \"instance\": \"nat\"\n  \"namespace\": \"blue\"\n}"),
		mod(`{"instance" "nat"}`), mod(`{"instance" = "nat"}`), mod(`{instance: "nat"}`), mod(`{'instance': 'nat'}`),
		mod(`{"instance": 'nat'}`), mod(`{"instance": nat}`), mod("{\n  // which\n  \"instance\": \"nat\"}"), mod("# x\n{}"),
		mod("{\"instance\": \"nat\n\"}"), mod(`{"namespace": "\b\lue"}`), mod(`{1: 2}`), mod(`{,}`), mod(`{"instance": }`),
		net(`, "ttl": 01`), net(`, "ttl": +1`), net(`, "ttl": 0x10`), net(`, "ttl": .5`), net(`, "ttl": [1 2]`), net(`, "ttl": {"a":}`),
		net(`, "ttl": ` + strings.Repeat("[", 20_000)),
		// Problems before a syntax error are reported, those behind it may not be.
		all("{\"ttl\": 300, \"x\": 1,\n \"reuseaddr\": yes, \"multicast address\": 7}"),
		// Keys.
		all(`{}`), all(`{` + group + `}`), all(`{"multicast address": "233.252.0.64", "multicast port": "6464", "reuseaddr": 1}`),
		net(`, "multicast adress": "ff08::1"`), net(`, "Multicast-Port": "6464"`), net(`, "stats port": "1"`), net(`, "state port": "1"`),
		net(`, "frobnicate": true`), mod(`{"frobnicate": {"x": [1, null, "\ud800"]}}`), net(`, "": 1`), net(`, "\u0000\n": 1`),
		net(`, "` + strings.Repeat("ttl", 50) + `": 1`), net(", \"t\xfftl\": 1"), net(`, "tt\ud800l": 1`),
		net(",\n\"ttl\": 1,\n\"ttl\": 300"), net(`, "ttl": 1, "\u0074tl": 1`), mod(`{"multicast port": "1", "ttl": 1, "instanze": "x"}`),
		// Values.
		groupOf(`"10.0.0.1"`), groupOf(`"fe80::1"`), groupOf(`"ff02::1%eth0"`), groupOf(`"ff02::1%\n"`), in(`"fe80::1%\n"`), groupOf(`"::ffff:233.252.0.64"`), groupOf(`"example.com"`),
		groupOf(`""`), groupOf(`"ff08::/16"`), groupOf(`7`), groupOf(`null`), groupOf(`["ff08::1"]`), groupOf(`"ff01::1"`), groupOf("\"ff08::\xff\""),
		groupOf(`"ff08::\udc00"`), groupOf(`"` + strings.Repeat("ü", 100) + `"`),
		port(`6464`), port(`0`), port(`65536`), port(`-1`), port(`1.5`), port(`1e3`), port(`"0"`), port(`"65536"`), port(`""`), port(`"+1"`),
		port(`"no such service"`), port(`" 6464"`), port(`"99999999999999999999999"`), port(`true`), port(`{}`), port(`"6464\u0000"`),
		in(`""`), in(`"."`), in(`"eth0:1"`), in(`"a/b"`), in(`"sixteen-bytes-xx"`), in(`"e\tth"`), in(`"e th"`), in(`"0.0.0.0"`), in(`"::"`),
		in(`"fe80::1%eth0"`), in(`"ff02::1"`), in(`"192.0.2.300"`), in(`2`), in(`false`),
		net(`, "ttl": 0`), net(`, "ttl": 256`), net(`, "ttl": -1`), net(`, "ttl": "3"`), net(`, "ttl": 1.0`), net(`, "ttl": 99999999999999999999`), net(`, "ttl": null`),
		all(`{` + group + `, "in interface": "eth0", "out interface": "eth0", "reuseaddr": 0}`),
		all(`{` + group + `, "in interface": "eth0", "out interface": "eth0", "reuseaddr": true}`),
		all(`{` + group + `, "in interface": "eth0", "out interface": "eth0", "reuseaddr": 2}`),
		net(`, "mtu": 1279`), net(`, "mtu": 9001`), net(`, "mtu": 0`), net(`, "mtu": "1400"`),
		net(`, "receive buffer": 4095`), net(`, "receive buffer": 1073741825`), net(`, "receive buffer": "16M"`),
		net(`, "namespace": "../x"`), net(`, "namespace": "/run/netns/../x"`), net(`, "namespace": "a/b"`), net(`, "namespace": ""`),
		net(`, "namespace": "."`), net(`, "namespace": ".."`), net(`, "namespace": "/a\u0000b"`), net(`, "namespace": 1`),
		net(`, "namespace": "` + strings.Repeat("x", 256) + `"`), net(`, "namespace": "/proc/1/ns/net"`), mod(`{"namespace": "/proc//thread-self/./ns/net"}`),
		net(`, "namespace": "/proc/self/ns/mnt"`),
		net(`, "key file": ""`), net(`, "key file": "a\u0000b"`), net(`, "key file": 1`), net(`, "key file": "` + strings.Repeat("x", 4096) + `"`),
		mod(`{"key file": "x"}`), net(`, "security": "on"`), net(`, "security": "Require"`), net(`, "security": true`), net(`, "secure": "off"`),
		// Peers.
		peers(`[]`), peers(`{}`), peers(`"192.0.2.2"`), peers("[\"192.0.2.2\",\n  7]"), peers(`[null]`), peers(`[["192.0.2.2"]]`),
		peers("[\n  \"192.0.2.2\",\n  \"example.com\"]"), peers(`[""]`), peers(`["192.0.2.2:"]`), peers(`["192.0.2.2:0"]`), peers(`["192.0.2.2:65536"]`), peers(`["192.0.2.2:nosuch"]`),
		peers(`["[2001:db8::2]"]`), peers(`["[192.0.2.2]:7"]`), peers(`["::ffff:192.0.2.2"]`), peers(`["[::ffff:192.0.2.2]:7"]`), peers(`["fe80::2%eth0"]`), peers(`["fe80::2"]`),
		peers(`["233.252.0.64"]`), peers(`["[ff02::1]:7"]`), peers(`["0.0.0.0"]`), peers(`["::"]`), peers(`["255.255.255.255"]`),
		peers("[\"192.0.2.2\",\n\"192.0.2.2\"]"), peers(`["192.0.2.2", "192.0.2.2:6464"]`), peers(`["192.0.2.2", "2001:db8::2"]`), peers(`["192.0.2.2", "\ud800"]`),
		peers(`["` + strings.Join(strings.Fields("10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5 10.0.0.6 10.0.0.7 10.0.0.8 10.0.0.9 10.0.0.10 10.0.0.11 10.0.0.12 10.0.0.13 10.0.0.14 10.0.0.15 10.0.0.16 10.0.0.17"), `", "`) + `"]`),
		all(`{"peers": ["192.0.2.2"]}`), all(`{"port": "6464"}`), all(`{"peers": ["192.0.2.2"], "port": "6464"}`), all(`{"peers": ["192.0.2.2"], "multicast port": "6464"}`),
		all(`{"peers": ["192.0.2.2"], "port": 0, "ttl": 0, "key file": "x", "reuseaddr": 1}`), net(`, "port": "6464"`), net(`, "peers": ["2001:db8::2"], "port": "6464"`),
		net(`, "peers": ["192.0.2.2"]`), net(`, "peers": ["[2001:db8::2]:7"]`), mod(`{"peers": [], "port": 1}`),
		mod(`{"instance": ""}`), mod(`{"instance": "sixteen-bytes-xx"}`), mod(`{"instance": "a\u0000"}`), mod(`{"instance": 1}`), mod(`{"instance": null}`),
		mod(`{"stats port": 0}`), mod(`{"stats port": "http/tcp"}`), mod(`{"stats port": [1]}`), mod(`{"stats address": "localhost"}`),
		mod(`{"stats address": "fe80::1%eth0"}`), mod(`{"stats address": "fe80::1"}`), mod(`{"stats address": "ff02::1"}`), mod(`{"stats address": 1}`),
		mod("{\r\n\t\"instance\": 1,\r\n\t\"stats port\": 0\r\n}\r\n"),
	}
}()

type badFile struct {
	of   kind
	text string
}
