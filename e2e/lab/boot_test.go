package lab_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

// boot boots a machine and returns its result and its output.
func boot(t *testing.T, l *lab.Lab, m lab.Machine) (lab.Result, string, error) {
	t.Helper()
	var out strings.Builder
	m.Stdout = &out
	m.MemoryMiB = 512
	r, err := l.Boot(t.Context(), m)
	t.Logf("Jool %s: booted in %v", m.Jool, r.BootTime.Round(time.Millisecond))
	return r, out.String(), err
}

// checkResult checks the output, the exit status and the file of the scripts of TestBoot and TestSystem, and that the kernel
// has not complained.
func checkResult(t *testing.T, want, out string, r lab.Result) {
	t.Helper()
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("output (-want +got):\n%s", diff)
	}
	if r.Exit != 7 {
		t.Errorf("exit %d, want 7", r.Exit)
	}
	if diff := cmp.Diff(map[string][]byte{"d/result.json": []byte("{}\n")}, r.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(r.KernelTrouble) > 0 {
		t.Errorf("kernel trouble: %s", r.KernelTrouble)
	}
}

// TestBoot has the newest Jool loaded, and checks all that a machine gives back.
func TestBoot(t *testing.T) {
	l := labtest.Prepare(t)
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "input"), []byte("from the host\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, out, err := boot(t, l, lab.Machine{
		Jool:    l.Newest(),
		Files:   map[string]string{"/data": dir},
		Env:     []string{"GREETING=it's me"},
		WorkDir: "/data",
		Script: `
jool --version | cut -d. -f1-3
lsmod | awk '$1 ~ /^jool/ {print $1}'
cat input
echo "$GREETING"
khz=$(sed 's/.*tsc_early_khz=\([0-9]*\).*/\1/' /proc/cmdline)
dmesg | grep -q "tsc: Detected $((khz / 1000)).$(printf %03d $((khz % 1000))) MHz" && echo "the clock has the rate that it was given"
ip link add name veth7 type veth && ip link add vrf0 type vrf table 7 && echo "modules load by themselves"
ip netns add blue && ip netns exec blue jool instance add nat --netfilter --pool6 64:ff9b::/96 >/dev/null && ip netns exec blue jool instance display --csv | cut -d, -f2-
mkdir /out/d; echo '{}' >/out/d/result.json
while :; do :; done & # ends with the machine
echo to standard error >&2
printf 'no line feed'
exit 7
`})
	if err != nil {
		t.Fatal(err)
	}
	want := l.Newest() + `
jool
jool_common
from the host
it's me
the clock has the rate that it was given
modules load by themselves
Name,Framework
nat,netfilter
to standard error
no line feed`
	checkResult(t, want, out, r)
}

// TestBootVersions changes from the oldest Jool to each other in one machine.
func TestBootVersions(t *testing.T) {
	l := labtest.Prepare(t)
	t.Parallel()
	versions := l.Versions()
	r, out, err := boot(t, l, lab.Machine{
		Jool:      versions[0],
		ExtraJool: versions[1:],
		Script: `
for v in ` + strings.Join(versions, " ") + `; do
  rmmod jool jool_common
  insmod /jool/$v/jool_common.ko && insmod /jool/$v/jool.ko || exit 1
  /jool/$v/jool instance add nat --netfilter --pool6 64:ff9b::/96 >/dev/null && /jool/$v/jool instance remove nat >/dev/null || exit 1
  echo $v
done`})
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Fields(out); r.Exit != 0 || !cmp.Equal(got, versions) {
		t.Errorf("exit %d, versions %q, want %q", r.Exit, got, versions)
	}
}

// TestBootTrouble has a kernel that complains, and then panics.
func TestBootTrouble(t *testing.T) {
	l := labtest.Prepare(t)
	t.Parallel()
	r, out, err := boot(t, l, lab.Machine{NoJool: true, Script: `
echo '<4>WARNING: CPU: 0 PID: 1 at test.c:1' >/dev/kmsg
lsmod | grep -c jool
echo c >/proc/sysrq-trigger
`})
	if err == nil || !strings.Contains(err.Error(), "it ended before the command did") {
		t.Errorf("error %v, want one about the early end", err)
	}
	if r.Exit != -1 || !strings.HasPrefix(out, "0\n") {
		t.Errorf("exit %d, output %q", r.Exit, out)
	}
	trouble := strings.Join(r.KernelTrouble, "\n")
	for _, want := range []string{"WARNING: CPU: 0 PID: 1 at test.c:1", "Kernel panic - not syncing: sysrq triggered crash"} {
		if !strings.Contains(trouble, want) {
			t.Errorf("kernel trouble lacks %q:\n%s", want, trouble)
		}
	}
}

// TestBootTimeout has a command that doesn't end.
func TestBootTimeout(t *testing.T) {
	l := labtest.Prepare(t)
	t.Parallel()
	reached := make(chan struct{})
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-reached
		cancel(context.DeadlineExceeded) // as the timeout does, at a known moment
	}()
	r, err := l.Boot(ctx, lab.Machine{
		NoJool: true, MemoryMiB: 512, Command: []string{"sh", "-c", "echo 'the last words'; sleep 1000"},
		Stdout: writerFunc(func(p []byte) { close(reached) }),
	})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the last words") {
		t.Errorf("error %v, want the deadline and the end of the output", err)
	}
	if r.Exit != -1 {
		t.Errorf("exit %d, want -1", r.Exit)
	}

	_, err = l.Boot(t.Context(), lab.Machine{Command: []string{"true"}, Timeout: time.Millisecond})
	if want := "virtual machine: it wasn't done after 1ms: context deadline exceeded"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

// TestBootHangs has a machine whose processors never start.
func TestBootHangs(t *testing.T) {
	l := labtest.Prepare(t)
	_, err := l.Boot(t.Context(), lab.Machine{Command: []string{"true"}, QEMUArgs: []string{"-S"}, BootLimit: 200 * time.Millisecond})
	if want := "virtual machine: it hangs while it boots: its command hasn't started after 200ms, 3 times over"; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
}

type writerFunc func(p []byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// TestBootMistakes has machines that can't be built.
func TestBootMistakes(t *testing.T) {
	l := labtest.Prepare(t)
	tests := []struct {
		name string
		m    lab.Machine
		want string
	}{
		{"unknown version", lab.Machine{Jool: "1.2.3", Script: "true"}, `virtual machine: the lab has no Jool "1.2.3"; it has ` + strings.Join(l.Versions(), ", ")},
		{"unknown extra version", lab.Machine{ExtraJool: []string{"1.2.3"}, Script: "true"}, `virtual machine: the lab has no Jool "1.2.3"; it has ` + strings.Join(l.Versions(), ", ")},
		{"nothing to run", lab.Machine{}, "virtual machine: give either a command or a script"},
		{"two things to run", lab.Machine{Script: "true", Command: []string{"true"}}, "virtual machine: give either a command or a script"},
		{"relative guest path", lab.Machine{Script: "true", Files: map[string]string{"x": "/etc/passwd"}}, `virtual machine: the guest path "x" of /etc/passwd must start with /`},
		{"no such file", lab.Machine{Script: "true", Files: map[string]string{"/x": "/nonexistent"}}, "virtual machine: guest file /x: stat /nonexistent: no such file or directory"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := l.Boot(t.Context(), tt.m)
			if err == nil || err.Error() != tt.want {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}
