package configdir

// kind is the kind of a file: one of a pair's two files, or a key file.
type kind int

const (
	netsocket kind = iota
	modsocket
	keyFile // with the keys for sealed datagrams; not in kinds
)

var kinds = [...]kind{netsocket, modsocket}

func (k kind) String() string { return [...]string{"netsocket", "modsocket", "key file"}[k] }

func (k kind) fileName() string { return k.String() + ".json" }

// example returns a small file of this kind, or the command that creates one.
func (k kind) example() string {
	switch k {
	case modsocket:
		return `{"instance": "default"}`
	case keyFile:
		return "(umask 077; joolctl genkey > /etc/joold.d/blue.key)"
	}
	return `{"multicast address": "ff08::db8:64:64", "multicast port": "6464", ` +
		`"in interface": "eth0", "out interface": "eth0", "reuseaddr": 1}`
}

// keyID identifies a key of a file. Both files have a key "namespace", so the kind is part of it.
type keyID struct {
	of   kind
	name string
}

// key describes one key of a file. Decoding, defaults, warnings about missing keys, the manual page, and the
// test of the documentation use this table.
type key struct {
	keyID
	// form is the form of the JSON values that the key accepts.
	form form
	// want is the end of the sentence "write …" in messages. example is a valid JSON value.
	want, example string
	// preset is the default as a JSON value. If it is empty, absent describes the behaviour without the key in
	// the documentation's words.
	preset, absent string
	// meaning is the documentation's description, in Markdown.
	meaning   string
	mandatory bool
	// set checks a value and stores it in a spec.
	set func(*Spec, value) *complaint
	// missing returns the warning about a missing key; nil: there is none.
	missing func(*Spec) *complaint
}

// keys lists all keys in the order of the documentation.
var keys = []key{
	{
		keyID:   keyID{netsocket, groupKey},
		form:    text,
		meaning: "the group that sessions are sent to and received from: an IPv4 or IPv6 multicast address, without a zone",
		want:    "an IPv4 or IPv6 group", example: `"ff08::db8:64:64"`,
		absent: "none: mandatory without `peers`", mandatory: true,
		set: setGroup,
	},
	{
		keyID:   keyID{netsocket, groupPortKey},
		form:    port,
		meaning: "UDP port of the group: 1 to 65535, or a service's name as in `/etc/services`. Upstream takes a string only",
		want:    "a port from 1 to 65535 or a UDP service's name", example: `"6464"`,
		absent: "none: mandatory with a group", mandatory: true,
		set: setPort,
	},
	{
		keyID:   keyID{netsocket, peersKey},
		form:    form{docs: "array of strings", types: []string{"array"}, most: MaxPeers},
		meaning: "1 to 16 hosts, each an address, or an address and a port (IPv6 in brackets). Without a group, sessions are sent to each of them, and received from them only. Beside a group, sessions are sent to the group, and received from these addresses only",
		want:    "an array of 1 to 16 addresses", example: `["192.0.2.2", "192.0.2.3"]`,
		absent: "everybody in the group",
		set:    setPeers,
	},
	{
		keyID:   keyID{netsocket, portKey},
		form:    port,
		meaning: "UDP port without a group, of this host and of all peers that name no other: 1 to 65535, or a service's name",
		want:    "a port from 1 to 65535 or a UDP service's name", example: `"6464"`,
		absent: "none: mandatory without a group", mandatory: true,
		set: func(s *Spec, v value) *complaint { return v.port(&s.Port) },
	},
	{
		keyID:   keyID{netsocket, inKey},
		form:    text,
		meaning: "where sessions are received: an interface's name or one of its addresses. Without a group, an address of the peers' family is also the source address, on whatever interface datagrams arrive. Upstream wants an address for an IPv4 group and a name for an IPv6 group; joolctl takes either for both",
		want:    "an interface's name or one of its addresses", example: `"eth0"`,
		absent: "the kernel's choice",
		set: func(s *Spec, v value) *complaint {
			return setInterface(&s.InInterface, v)
		},
		missing: adviseInterface,
	},
	{
		keyID:   keyID{netsocket, outKey},
		form:    text,
		meaning: "where sessions are sent; as above",
		want:    "an interface's name or one of its addresses", example: `"eth0"`,
		absent: "the kernel's choice",
		set: func(s *Spec, v value) *complaint {
			return setInterface(&s.OutInterface, v)
		},
		missing: adviseInterface,
	},
	{
		keyID:   keyID{netsocket, "reuseaddr"},
		form:    form{docs: "0 or 1", types: []string{"integer"}, high: 1},
		meaning: "1 sets `SO_REUSEADDR`, so that a hanging process does not block the port for its successor. Upstream always sets it since 4.1.13: write 1",
		want:    "0 or 1", example: "1", preset: "0",
		set:     setReuseAddr,
		missing: func(*Spec) *complaint { return adviseReuseAddr("missing, which means 0") },
	},
	{
		keyID:   keyID{netsocket, ttlKey},
		form:    number(0, 255),
		meaning: "multicast TTL, or hop limit for IPv6; 1 stays on the link, 0 on the host. Without a group the default is 64",
		want:    "a number from 0 to 255", example: "3", preset: "1",
		set: setTTL,
	},
	{
		keyID:   keyID{netsocket, "mtu"},
		form:    number(1280, 9000),
		meaning: "the longest IP packet that is sent, in bytes, see [below](#mtu)",
		want:    "a number of bytes from 1280 to 9000", example: "1420",
		absent: "the MTU of `out interface`, at most 1500",
		set:    func(s *Spec, v value) *complaint { return v.whole(&s.MTU, 1280, 9000) },
	},
	{
		keyID:   keyID{netsocket, "receive buffer"},
		form:    number(4096, 1<<30),
		meaning: "size in bytes of the receive buffers, of the network socket and of the kernel's",
		want:    "a number of bytes from 4096 to 1073741824", example: "33554432", preset: "16777216",
		set: func(s *Spec, v value) *complaint { return v.whole(&s.ReceiveBuffer, 4096, 1<<30) },
	},
	{
		keyID:   keyID{netsocket, "refresh period"},
		form:    number(0, 60),
		meaning: "seconds: a session in use of which only the time left changes is sent this often, up to 0.1 s sooner or later, so that refreshes share datagrams; 0 sends it for every packet, as upstream does",
		want:    "a number of seconds from 0 to 60", example: "1", preset: "1",
		set: func(s *Spec, v value) *complaint { return v.seconds(&s.RefreshPeriod, 60) },
	},
	{
		keyID:   keyID{netsocket, "verify period"},
		form:    number(0, 86400),
		meaning: "seconds: how often the whole table is compared with a peer's, which finds sessions that a module lost unnoticed; 0 compares only if sessions seem to be missing",
		want:    "a number of seconds from 0 to 86400", example: "60", preset: "300",
		set: func(s *Spec, v value) *complaint { return v.seconds(&s.VerifyPeriod, 86400) },
	},
	{
		keyID:   keyID{netsocket, "advertise rate"},
		form:    number(1, 1_000_000),
		meaning: "sessions per second that `joolctl advertise NAME` sends to peers with upstream's joold, which loses sessions at a much higher rate if its receive buffer has the system's default size. Peers with joolctl get a full sync, which this key does not limit",
		want:    "a number of sessions per second from 1 to 1000000", example: "2000", preset: "4000",
		set: func(s *Spec, v value) *complaint { return v.whole(&s.AdvertiseRate, 1, 1_000_000) },
	},
	{
		keyID:   keyID{netsocket, sequenceKey},
		form:    boolean,
		meaning: "false sends nothing but upstream's bytes: no trailer, no control messages, and so neither retransmissions nor full syncs",
		want:    "true or false", example: "false", preset: "true",
		set: func(s *Spec, v value) *complaint { return v.boolean(&s.Sequence) },
	},
	{
		keyID:   keyID{netsocket, keyFileKey},
		form:    text,
		meaning: "path of the file with the keys for sealed datagrams, see below; a relative path begins at the netsocket file's directory",
		want:    "a path", example: `"blue.key"`,
		absent: "no key",
		set:    setKeyFile,
	},
	{
		keyID:   keyID{netsocket, securityKey},
		form:    form{docs: "string", types: []string{"string"}, enum: securities[:]},
		meaning: "`off` sends and accepts clear datagrams only, `accept` accepts both kinds and sends clear ones, `send` accepts both and sends sealed ones, `require` sends and accepts sealed ones only. Mandatory with a key file, and not allowed without one",
		want:    `"off", "accept", "send" or "require"`, example: `"require"`,
		preset: `"off"`,
		set:    setSecurity,
	},
	{
		keyID:   keyID{netsocket, "namespace"},
		form:    text,
		meaning: "network namespace of the network socket, see below",
		want:    "a name under /run/netns or an absolute path", example: `"blue"`,
		absent: "the modsocket's",
		set:    func(s *Spec, v value) *complaint { return setNamespace(&s.NetNamespace, v) },
	},
	{
		keyID:   keyID{modsocket, "instance"},
		form:    form{docs: "string, 1 to 15 bytes", types: []string{"string"}, longest: 15},
		meaning: "the Jool instance, as in `jool instance add`",
		want:    "the instance's name, 1 to 15 bytes", example: `"nat"`, preset: `"default"`,
		set: setInstance,
	},
	{
		keyID:   keyID{modsocket, "namespace"},
		form:    text,
		meaning: "network namespace of the instance, see below",
		want:    "a name under /run/netns or an absolute path", example: `"blue"`,
		absent: "the program's own",
		set:    func(s *Spec, v value) *complaint { return setNamespace(&s.Namespace, v) },
	},
	{
		keyID:   keyID{modsocket, "enable ss"},
		form:    boolean,
		meaning: "true switches the instance's `ss-enabled` on if it is off: at the start, and later within 4 s, or 10 s without traffic. false waits until an operator switches it on",
		want:    "true or false", example: "true", preset: "false",
		set: func(s *Spec, v value) *complaint { return v.boolean(&s.EnableSS) },
	},
	{
		keyID:   keyID{modsocket, "tune ss"},
		form:    boolean,
		meaning: "true sets the instance's `ss-flush-deadline` and `ss-capacity` where they have the module's default values, so that the module reports new sessions within milliseconds; other values stay",
		want:    "true or false", example: "true", preset: "false",
		set: func(s *Spec, v value) *complaint { return v.boolean(&s.TuneSS) },
	},
	{
		keyID:   keyID{modsocket, "stats port"},
		form:    port,
		meaning: "UDP port that answers with statistics, up to 100 times a second on each address: 1 to 65535 or a service's name. Upstream has it as `joold`'s third argument",
		want:    "a port from 1 to 65535 or a UDP service's name", example: `"4000"`,
		absent: "no stats server",
		set:    func(s *Spec, v value) *complaint { return v.port(&s.StatsPort) },
	},
	{
		keyID:   keyID{modsocket, "stats address"},
		form:    text,
		meaning: "address of the stats server, always in the program's own namespace",
		want:    "an address of this host", example: `"192.0.2.1"`,
		absent: "127.0.0.1 and ::1",
		set:    setStatsAddress,
	},
}

// Key is a key of a file as in the documentation.
type Key struct {
	// File is "netsocket" or "modsocket".
	File, Name string
	// Meaning is a phrase in Markdown. Want describes the valid values.
	Meaning, Want string
	// Default is a JSON value, or a phrase if the key has no default.
	Default string
	// Example is a JSON value.
	Example string
}

// Keys returns all keys of both files, netsocket's first.
func Keys() []Key {
	var all []Key
	for _, k := range keys {
		all = append(all, Key{k.of.String(), k.name, k.meaning, k.want, k.preset + k.absent, k.example})
	}
	return all
}

// find returns the key of a file with this exact name, or nil.
func find(name string, of kind) *key {
	for i := range keys {
		if keys[i].keyID == (keyID{of, name}) {
			return &keys[i]
		}
	}
	return nil
}

// Defaults returns the spec of a pair that sets no keys. It is not a valid spec, because the mandatory keys have
// no default.
func Defaults() Spec {
	var spec Spec
	for _, k := range keys {
		if k.preset != "" {
			k.set(&spec, value{raw: []byte(k.preset)})
		}
	}
	return spec
}
