package doctor

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"joolctl/joolnl"
)

// needed are the capabilities without which a worker cannot run.
var needed = []struct {
	bit  int
	name string
}{
	{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN"},
	{unix.CAP_SYS_ADMIN, "CAP_SYS_ADMIN"},
}

func checkPrivileges(context.Context, *host) []Finding {
	status, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		return warn("the capabilities are unknown: "+err.Error(), "")
	}
	_, text, _ := strings.Cut(string(status), "\nCapEff:")
	text, _, _ = strings.Cut(text, "\n")
	has, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
	if err != nil {
		return warn("the capabilities are unknown: "+err.Error(), "")
	}
	var lacks []string
	for _, c := range needed {
		if has&(1<<c.bit) == 0 {
			lacks = append(lacks, c.name)
		}
	}
	if len(lacks) > 0 {
		return fail("joolctl doctor lacks "+strings.Join(lacks, " and ")+", so several checks fail", "run it as root")
	}
	return ok("root, with the capabilities that a worker needs")
}

func checkModule(context.Context, *host) []Finding {
	v, err := joolnl.ModuleVersion()
	switch {
	case errors.Is(err, joolnl.ErrNoModule):
		return fail("the module jool is not loaded", "type: modprobe jool")
	case err != nil:
		return fail(err.Error(), "type: modprobe -r jool && modprobe jool")
	}
	if err := v.Supported(); err != nil {
		return fail(err.Error(), "")
	}
	return ok("Jool " + v.String() + " is loaded")
}

func checkDefects(context.Context, *host) []Finding {
	v, err := joolnl.ModuleVersion()
	if err != nil {
		return nil // checkModule has said so
	}
	defects := v.Defects()
	if len(defects) == 0 {
		return ok("no defect of Jool " + v.String() + " is known that concerns synchronisation")
	}
	return warn(fmt.Sprintf("Jool %v %s", v, strings.Join(defects, "; ")), "upgrade Jool to 4.1.13 or later")
}

// toolVersion finds a version in the output of a tool.
var toolVersion = regexp.MustCompile(`\d+\.\d+\.\d+(\.\d+)?`)

func checkTools(ctx context.Context, _ *host) []Finding {
	out, err := exec.CommandContext(ctx, "jool", "--version").CombinedOutput()
	if err != nil {
		return warn(fmt.Sprintf("the tool jool cannot be run: %v", err), "install jool-tools of the module's version")
	}
	text := toolVersion.Find(out)
	tool, err := joolnl.ParseVersion(string(text))
	if err != nil {
		return warn(fmt.Sprintf("the tool jool does not say its version: %q", firstLine(out)), "")
	}
	module, err := joolnl.ModuleVersion()
	if err == nil && module != tool {
		return warn(fmt.Sprintf("the tool jool is of version %v, the module of version %v", tool, module), "install jool-tools and jool-dkms of the same version")
	}
	return ok("the tool jool is of version " + tool.String())
}

func firstLine(b []byte) string {
	line, _, _ := bytes.Cut(b, []byte("\n"))
	return string(line)
}

func checkSupervisor(_ context.Context, h *host) []Finding {
	switch {
	case h.statusErr != nil:
		return warn(h.statusErr.Error(), "type: systemctl start joolctl")
	case h.status.Reason != "":
		return fail(h.status.Reason, "")
	case h.status.Directory != h.Dir:
		return warn(fmt.Sprintf("the supervisor runs the pairs of %s, not those of %s", h.status.Directory, h.Dir), "type: joolctl doctor "+h.status.Directory)
	}
	return ok(fmt.Sprintf("joolctl %s runs %s of %s", h.status.Version, count(len(h.status.Workers), "pair"), h.Dir))
}

func checkDirectory(_ context.Context, h *host) []Finding {
	switch {
	case h.resultErr != nil:
		return fail(h.resultErr.Error(), "type: mkdir "+h.Dir)
	case len(h.result.Pairs) == 0:
		return warn(h.Dir+" has no pairs", "type: joolctl init NAME")
	}
	return ok(h.Dir + " has " + count(len(h.result.Pairs), "pair"))
}

// descriptorsPerPair is how many file descriptors a pair needs at most, with a stats port and a namespace of its own (docs/configuration.md).
const descriptorsPerPair = 9

func checkDescriptors(_ context.Context, h *host) []Finding {
	var limit unix.Rlimit
	owner := "joolctl doctor"
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return warn("the limit of descriptors is unknown: "+err.Error(), "")
	}
	if pid := h.pid(); pid > 0 {
		if err := unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &limit); err == nil {
			owner = "the supervisor"
		}
	}
	need := uint64(64 + descriptorsPerPair*len(h.result.Pairs))
	observed := fmt.Sprintf("%s may open %d descriptors; %d are enough for %s", owner, limit.Max, need, count(len(h.result.Pairs), "pair"))
	if limit.Max < need {
		return warn(observed, fmt.Sprintf("set LimitNOFILE=%d in joolctl.service", need))
	}
	return ok(observed)
}

func checkClock(context.Context, *host) []Finding {
	var t unix.Timex
	if _, err := unix.Adjtimex(&t); err != nil {
		return warn("the state of the clock is unknown: "+err.Error(), "")
	}
	if t.Status&unix.STA_UNSYNC != 0 {
		return warn("the clock is not synchronised: joolctl does not need that, but the times of logs and events differ between hosts", "type: timedatectl set-ntp true")
	}
	return ok("the clock is synchronised")
}

func checkKeepalived(_ context.Context, h *host) []Finding {
	conf, err := os.ReadFile(h.Keepalived)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return warn(err.Error(), "")
	}
	known := make(map[string]bool)
	for _, pair := range h.result.Pairs {
		known[pair.Name] = true
	}
	asks := 0
	for lines := bufio.NewScanner(bytes.NewReader(conf)); lines.Scan(); {
		line, _, _ := strings.Cut(lines.Text(), "#")
		_, call, found := strings.Cut(line, "joolctl ready ")
		if !found {
			continue
		}
		asks++
		for word := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(call), `"`)) {
			if strings.HasPrefix(word, "-") {
				break // the names come first
			}
			if !known[word] {
				return fail(fmt.Sprintf("%s asks for the pair %q, which %s does not have", h.Keepalived, word, h.Dir), "name a pair there, or --all")
			}
		}
	}
	if asks == 0 {
		return warn(h.Keepalived+" does not ask whether this host is ready", `track a script "/usr/bin/joolctl ready --all --patience 5m --vrrp NAME" there`)
	}
	return ok(h.Keepalived + " asks whether this host is ready")
}
