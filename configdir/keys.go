package configdir

// kind is which of a pair's two files.
type kind int

const (
	netsocket kind = iota
	modsocket
)

var kinds = [...]kind{netsocket, modsocket}

func (k kind) String() string { return [...]string{"netsocket", "modsocket"}[k] }

func (k kind) fileName() string { return k.String() + ".json" }

// example is a small file of the kind.
func (k kind) example() string {
	if k == modsocket {
		return `{"instance": "default"}`
	}
	return `{"multicast address": "ff08::db8:64:64", "multicast port": "6464", ` +
		`"in interface": "eth0", "out interface": "eth0", "reuseaddr": 1}`
}

// keyID names a key of a file; both files have a "namespace".
type keyID struct {
	of   kind
	name string
}

// key is one key of a file and everything that is to know about it. Decoding,
// defaults, advice and the test of the documentation all go by this table.
type key struct {
	keyID
	// want completes "write …", example is a JSON value to write.
	want, example string
	// preset is the default as a JSON value. Where there is none, absent says
	// in the documentation's words what holds without the key.
	preset, absent string
	mandatory      bool
	// set checks a value and puts it into a spec.
	set func(*Spec, value) *complaint
	// missing is the advice to who left the key out; nil: none.
	missing func(*Spec) *complaint
}

// keys are all keys, in the order of the documentation.
var keys = []key{
	{
		keyID: keyID{netsocket, "multicast address"},
		want:  "an IPv4 or IPv6 group", example: `"ff08::db8:64:64"`,
		absent: "none: mandatory", mandatory: true,
		set: setGroup,
	},
	{
		keyID: keyID{netsocket, "multicast port"},
		want:  "a port from 1 to 65535 or a UDP service's name", example: `"6464"`,
		absent: "none: mandatory", mandatory: true,
		set: setPort,
	},
	{
		keyID: keyID{netsocket, "in interface"},
		want:  "an interface's name or one of its addresses", example: `"eth0"`,
		absent: "the kernel's choice",
		set: func(s *Spec, v value) *complaint {
			return setInterface(&s.InInterface, v)
		},
		missing: adviseInterface,
	},
	{
		keyID: keyID{netsocket, "out interface"},
		want:  "an interface's name or one of its addresses", example: `"eth0"`,
		absent: "the kernel's choice",
		set: func(s *Spec, v value) *complaint {
			return setInterface(&s.OutInterface, v)
		},
		missing: adviseInterface,
	},
	{
		keyID: keyID{netsocket, "reuseaddr"},
		want:  "0 or 1", example: "1", preset: "0",
		set:     setReuseAddr,
		missing: func(*Spec) *complaint { return adviseReuseAddr("missing, which means 0") },
	},
	{
		keyID: keyID{netsocket, "ttl"},
		want:  "a number from 0 to 255", example: "3", preset: "1",
		set: setTTL,
	},
	{
		keyID: keyID{netsocket, "receive buffer"},
		want:  "a number of bytes from 4096 to 1073741824", example: "33554432", preset: "16777216",
		set: func(s *Spec, v value) *complaint { return v.whole(&s.ReceiveBuffer, 4096, 1<<30) },
	},
	{
		keyID: keyID{netsocket, "refresh period"},
		want:  "a number of seconds from 0 to 60", example: "1", preset: "1",
		set: func(s *Spec, v value) *complaint { return v.seconds(&s.RefreshPeriod, 60) },
	},
	{
		keyID: keyID{netsocket, "verify period"},
		want:  "a number of seconds from 0 to 86400", example: "60", preset: "300",
		set: func(s *Spec, v value) *complaint { return v.seconds(&s.VerifyPeriod, 86400) },
	},
	{
		keyID: keyID{netsocket, "advertise rate"},
		want:  "a number of sessions per second from 1 to 1000000", example: "2000", preset: "4000",
		set: func(s *Spec, v value) *complaint { return v.whole(&s.AdvertiseRate, 1, 1_000_000) },
	},
	{
		keyID: keyID{netsocket, "sequence"},
		want:  "true or false", example: "false", preset: "true",
		set: func(s *Spec, v value) *complaint { return v.boolean(&s.Sequence) },
	},
	{
		keyID: keyID{netsocket, "namespace"},
		want:  "a name under /run/netns or an absolute path", example: `"blue"`,
		absent: "the modsocket's",
		set:    func(s *Spec, v value) *complaint { return setNamespace(&s.NetNamespace, v) },
	},
	{
		keyID: keyID{modsocket, "instance"},
		want:  "the instance's name, 1 to 15 bytes", example: `"nat"`, preset: `"default"`,
		set: setInstance,
	},
	{
		keyID: keyID{modsocket, "namespace"},
		want:  "a name under /run/netns or an absolute path", example: `"blue"`,
		absent: "the program's own",
		set:    func(s *Spec, v value) *complaint { return setNamespace(&s.Namespace, v) },
	},
	{
		keyID: keyID{modsocket, "enable ss"},
		want:  "true or false", example: "true", preset: "false",
		set: func(s *Spec, v value) *complaint { return v.boolean(&s.EnableSS) },
	},
	{
		keyID: keyID{modsocket, "tune ss"},
		want:  "true or false", example: "true", preset: "false",
		set: func(s *Spec, v value) *complaint { return v.boolean(&s.TuneSS) },
	},
	{
		keyID: keyID{modsocket, "stats port"},
		want:  "a port from 1 to 65535 or a UDP service's name", example: `"4000"`,
		absent: "no stats server",
		set:    setStatsPort,
	},
	{
		keyID: keyID{modsocket, "stats address"},
		want:  "an address of this host", example: `"192.0.2.1"`,
		absent: "127.0.0.1 and ::1",
		set:    setStatsAddress,
	},
}

// find gives a key of a file by its exact name, or nil.
func find(name string, of kind) *key {
	for i := range keys {
		if keys[i].keyID == (keyID{of, name}) {
			return &keys[i]
		}
	}
	return nil
}

// Defaults is what a pair asks for that sets no key. It is no valid spec: the
// mandatory keys have no default.
func Defaults() Spec {
	var spec Spec
	for _, k := range keys {
		if k.preset != "" {
			k.set(&spec, value{raw: []byte(k.preset)})
		}
	}
	return spec
}
