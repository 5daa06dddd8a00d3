package guest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"joolctl/joolnl"
)

// diagnosis is what `joolctl doctor -o json` prints.
type diagnosis struct {
	Healthy  bool
	Findings []struct{ Check, Pair, Level, Observed, Remedy string }
}

// has returns "" if a finding of a check has the level and the texts, and otherwise the findings of the check.
func (d diagnosis) has(check, level string, texts ...string) string {
	var others strings.Builder
	for _, f := range d.Findings {
		if f.Check != check {
			continue
		}
		good := f.Level == level
		for _, text := range texts {
			good = good && strings.Contains(f.Observed+"\n"+f.Remedy, text)
		}
		if good {
			return ""
		}
		fmt.Fprintf(&others, "%+v\n", f)
	}
	return fmt.Sprintf("%s is not %s with %q: %s", check, level, texts, &others)
}

func (s supervisor) doctor(t testing.TB, args ...string) (d diagnosis, code int) {
	t.Helper()
	out, code := s.command(t, append([]string{"doctor", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatalf("exit status %d, %v:\n%s", code, err, out)
	}
	return d, code
}

// testDoctor runs `joolctl doctor` on a host that works, and then with the faults that need the module. The faults stay.
func testDoctor(t *testing.T, top *topology, s supervisor, p pair) {
	good, code := s.doctor(t)
	for _, check := range []string{"privileges", "module", "supervisor", "directory", "descriptors", "files", "instance", "interface",
		"source-address", "hop-limit", "membership", "snooping", "port", "buffers", "other-daemons", "firewall", "worker", "peers"} {
		if wrong := good.has(check, "ok"); wrong != "" {
			t.Error(wrong)
		}
	}
	if !good.Healthy || code != exitOK {
		t.Errorf("exit status %d, %+v", code, good)
	}
	v := module(t)
	if defective := len(v.Defects()) > 0; (good.has("module-defects", "warn") == "") != defective {
		t.Errorf("defects of %v: %+v", v, good)
	}

	top.j.ip(t, "link set "+syncLink+" mtu 1300")
	c := startWorker(t, upstream, top.j, pair{name: "c", instance: p.instance, group: p.group, port: p.port, link: syncLink})
	faulty, _ := s.doctor(t)
	for _, wrong := range []string{
		faulty.has("packet-size", "warn", "MTU of "+syncLink+" is 1300", "ss-max-payload 1252"),
		faulty.has("other-daemons", "warn", "joold (", "stop it"),
		faulty.has("port", "warn", "joold (", "another port"),
	} {
		if wrong != "" {
			t.Error(wrong)
		}
	}
	c.kill()

	dir := t.TempDir()
	addInstance(t, top.k, instance{name: "off", framework: "iptables", pool6: iptPool6})
	top.k.exec(t, "jool", "-i", "off", "global", "update", "ss-enabled", "false")
	for i, name := range []string{"off", "absent"} {
		other := p
		other.name, other.instance, other.port, other.statsPort = name, name, p.port+uint16(i)+1, 0
		other.in(top.k).write(t, dir)
	}
	bad, code := s.doctor(t, dir)
	for _, wrong := range []string{
		bad.has("instance", "fail", `"absent"`, "jool instance add"),
		bad.has("instance", "fail", `"off"`, "ss-enabled true"),
		bad.has("settings", "warn", "ss-flush-deadline is 2s", `"tune ss": true`),
		bad.has("supervisor", "warn", s.dir),
	} {
		if wrong != "" && !(v < joolnl.Version(4<<24|1<<16|11<<8) && strings.HasPrefix(wrong, "settings")) {
			t.Error(wrong)
		}
	}
	if bad.Healthy || code != exitNotWell {
		t.Errorf("exit status %d, healthy %v", code, bad.Healthy)
	}
}
