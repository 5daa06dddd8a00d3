package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Machine describes the machine to boot and the command to run inside as root. Exactly one of Command and Script is
// given.
//
// The command finds bash, ip, ss, bridge, tc, tcpdump, nc, busybox's applets, and the C jool and joold of the chosen
// version, unless the machine has a System. Its standard input is empty, unless it has a terminal. Processes that it
// starts in the background are killed when it ends.
type Machine struct {
	// System boots the Debian of the lab's suite, with systemd as the first process. Changes of its disk are lost at
	// the end. The command starts once the system is up, in a service of its own. It finds the suite's programs, not
	// busybox's, and Jool is installed but not loaded. It may not see the Files below /run and /tmp, because systemd
	// mounts file systems of its own there. The lab is one of [PrepareSuite].
	System bool
	// Jool is the version that is loaded and whose tools are in the PATH. Empty means the newest.
	Jool string
	// NoJool leaves the kernel module unloaded; its file stays in /jool/VERSION.
	NoJool bool
	// ExtraJool are further versions to have in the guest. Every version's jool_common.ko, jool.ko, jool and joold
	// are in /jool/VERSION, ready to be loaded with insmod.
	ExtraJool []string

	// Files maps guest paths to files or directories of the host, which are copied with their permissions.
	Files map[string]string
	// Command is a program of the guest and its arguments.
	Command []string
	// Script is run by bash.
	Script string
	// Env is added to the command's environment, as KEY=value.
	Env []string
	// WorkDir is the directory of the guest to start in. Empty means /.
	WorkDir string

	MemoryMiB int // default 1024
	CPUs      int // default 2
	// CountInstructions makes the number of instructions executed the machine's clock, 1 ns each, on one processor: about
	// as fast as a real one. It is slow, but no load of the host's changes what a program seems to take.
	CountInstructions bool
	Timeout           time.Duration // from the first power-on to power-off; default 2 minutes, 10 with a System
	// BootLimit is from power-on to the command's start, which takes 3 s on an idle host, and half a minute with a System. The default
	// is 45 s, four times as much if instructions are counted, and eight times with a System.
	BootLimit time.Duration
	// Stdout takes the command's output and errors, line by line as they come. Nil discards.
	Stdout io.Writer
	// Terminal makes the command's standard input, output and errors a terminal of the machine's, which sends to Terminal
	// and receives from it. Stdout then takes nothing.
	Terminal io.ReadWriter
	// QEMUArgs are added to QEMU's command line.
	QEMUArgs []string
}

// Result is the outcome of a machine's command.
type Result struct {
	// Exit is the command's exit status; 128 + n if signal n killed it. -1 if it didn't get to its end.
	Exit int
	// KernelTrouble has the kernel's panics, oopses, BUGs and WARNINGs, each with its trace.
	KernelTrouble []string
	// Files are the regular files below the guest's /out when the command ended, by their path below it.
	Files map[string][]byte
	// Console is the kernel's log as far as the console shows it: warnings and worse.
	Console string
	// BootTime is from the last power-on to the command's start.
	BootTime time.Duration
}

// Boot boots a machine, runs its command and waits for its end. It is safe to call concurrently.
//
// The command's exit status is in the result and isn't an error, nor is kernel trouble that the command survives. The
// result is valid, as far as things got, with an error too.
func (l *Lab) Boot(ctx context.Context, m Machine) (Result, error) {
	result := Result{Exit: -1}
	if err := l.complete(&m); err != nil {
		return result, err
	}
	dir, err := os.MkdirTemp("", "joolctl-lab-")
	if err != nil {
		return result, fmt.Errorf("virtual machine: %w", err)
	}
	defer os.RemoveAll(dir)
	if m.Terminal != nil {
		t, err := newTerminal(dir)
		if err != nil {
			return result, err
		}
		defer t.close()
		go t.join(ctx, m.Terminal)
		m.QEMUArgs = append(t.qemuArgs(), m.QEMUArgs...)
	}
	marks := newMarks()
	if err := l.writeInitrd(filepath.Join(dir, "initrd"), m, marks); err != nil {
		return result, fmt.Errorf("virtual machine: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, m.Timeout, fmt.Errorf("it wasn't done after %v: %w", m.Timeout, context.DeadlineExceeded))
	defer cancel()
	for attempt := 1; ; attempt++ {
		out := newGuestStream(marks, m.Stdout)
		qemuErrors, err := m.powerOn(ctx, l.qemuArgs(m, dir), out)
		console, _ := os.ReadFile(filepath.Join(dir, "console"))
		result.Console = strings.ReplaceAll(string(console), "\r", "")
		if errors.Is(err, errHangs) && attempt < bootAttempts {
			continue
		}
		result.KernelTrouble = kernelTrouble(result.Console)
		if err := out.finish(&result, err); err != nil {
			return result, bootError(err, result, out, qemuErrors)
		}
		return result, nil
	}
}

// bootAttempts is how often a machine is switched on until its command starts. An emulated machine sometimes hangs
// before its kernel has started all processors. The tests have not begun then.
const bootAttempts = 3

var errHangs = errors.New("it hangs while it boots")

// powerOn runs a machine until nothing more is to come, and returns QEMU's standard error.
func (m Machine) powerOn(ctx context.Context, args []string, out *guestStream) (string, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hangs := time.AfterFunc(m.BootLimit, func() {
		cancel(fmt.Errorf("%w: its command hasn't started after %v, %d times over", errHangs, m.BootLimit, bootAttempts))
	})
	defer hangs.Stop()
	out.booted, out.ended = func() { hangs.Stop() }, func() { cancel(nil) }
	return runQEMU(ctx, args, out)
}

// bootError adds to err what helps to see why a machine failed.
func bootError(err error, r Result, out *guestStream, qemuErrors string) error {
	var b strings.Builder
	section := func(title, text string) {
		if text = strings.TrimSpace(text); text != "" {
			fmt.Fprintf(&b, "\n--- %s:\n%s", title, text)
		}
	}
	section("end of its output", out.tail())
	section("end of the kernel's console", tail(r.Console, 25))
	section("QEMU's errors", tail(qemuErrors, 10))
	return fmt.Errorf("virtual machine: %w%s", err, b.String())
}

// complete checks the machine and fills in the defaults.
func (l *Lab) complete(m *Machine) error {
	if m.Jool == "" {
		m.Jool = l.Newest()
	}
	for _, v := range append([]string{m.Jool}, m.ExtraJool...) {
		if !slices.Contains(l.versions, v) {
			return fmt.Errorf("virtual machine: the lab has no Jool %q; it has %s", v, strings.Join(l.versions, ", "))
		}
	}
	if m.System && !exists(l.path(disk)) {
		return fmt.Errorf("virtual machine: the lab in %s has no system; PrepareSuite makes labs that have one", l.dir)
	}
	if m.System && m.Terminal != nil {
		return errors.New("virtual machine: one with a system has no terminal")
	}
	if (len(m.Command) == 0) == (m.Script == "") {
		return errors.New("virtual machine: give either a command or a script")
	}
	for guest := range m.Files {
		if !strings.HasPrefix(guest, "/") {
			return fmt.Errorf("virtual machine: the guest path %q of %s must start with /", guest, m.Files[guest])
		}
	}
	if m.MemoryMiB == 0 {
		m.MemoryMiB = 1024
	}
	if m.CPUs == 0 {
		m.CPUs = 2
	}
	if m.Timeout == 0 {
		m.Timeout = 2 * time.Minute
		if m.System {
			m.Timeout = 10 * time.Minute
		}
	}
	if m.BootLimit == 0 {
		m.BootLimit = 45 * time.Second
		if m.CountInstructions {
			m.BootLimit *= 4
		}
		if m.System {
			m.BootLimit *= 8
		}
	}
	return nil
}

// kernelArgs: the console gets warnings and worse. Watchdogs are off because a busy host makes the guest's time pass in
// jerks, which they would take for a lockup. The TSC is the host's, so that all of the guest's processors agree; the kernel
// wouldn't believe it and read the HPET instead, which takes ten times as long. Its rate is given too: on a busy host the
// kernel measures it wrong, and then the machine's clock runs several times too fast. The self-tests of the kernel's
// ciphers take half a second.
const kernelArgs = "console=ttyS0 loglevel=5 panic=-1 mitigations=off nowatchdog rcupdate.rcu_cpu_stall_suppress=1 " +
	"random.trust_cpu=on tsc=reliable no_timer_check cryptomgr.notests"

// systemArgs are kernel arguments. systemd shows on the console which unit it starts, so that the place of a hang is
// visible.
const systemArgs = " net.ifnames=0 systemd.show_status=1 systemd.getty_auto=no TERM=dumb systemd.wants=" + systemUnit

func (m Machine) kernelArgs() string {
	if m.System {
		return kernelArgs + systemArgs
	}
	return kernelArgs
}

// qemuArgs: the serial port is the kernel's console and goes to a file; the virtio serial port has the command's output.
// A second serial port would do, but it takes 10 µs of the guest's processor for a byte, and a virtio console drops what
// the host doesn't read fast enough.
func (l *Lab) qemuArgs(m Machine, dir string) []string {
	accel, rate := "tcg,thread=multi", int64(1_000_000) // an instruction is a nanosecond and a tick
	if !m.CountInstructions {
		rate = hostTicksRate()
	} else {
		accel = "tcg,thread=single"
		m.CPUs, m.QEMUArgs = 1, append([]string{"-icount", "shift=0,sleep=off"}, m.QEMUArgs...)
	}
	if m.System {
		m.QEMUArgs = append([]string{"-drive", "if=none,id=disk,format=raw,snapshot=on,file=" + l.path(disk), "-device", "virtio-blk-pci,drive=disk"}, m.QEMUArgs...)
	}
	return append([]string{
		"-M", "q35", "-accel", accel, "-cpu", "max",
		"-smp", strconv.Itoa(m.CPUs), "-m", strconv.Itoa(m.MemoryMiB),
		"-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-serial", "file:" + filepath.Join(dir, "console"),
		"-device", "virtio-serial-pci,max_ports=2", "-chardev", "stdio,id=out,signal=off", "-device", "virtserialport,chardev=out,name=lab",
		"-kernel", l.path("kernel", "vmlinuz"), "-initrd", filepath.Join(dir, "initrd"), "-append", fmt.Sprintf("%s tsc_early_khz=%d", m.kernelArgs(), rate),
	}, m.QEMUArgs...)
}

// runQEMU runs QEMU with its standard output to out, and returns its standard error.
func runQEMU(ctx context.Context, args []string, out io.Writer) (string, error) {
	// Pdeathsig goes by the thread that started the process, so this one has to stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, qemu, args...)
	var errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = out, &errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// QEMU takes the end of its standard input for the end of the port's other side.
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	defer stdin.Close()
	err = cmd.Run()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, exec.ErrNotFound) {
		err = fmt.Errorf("%w: %w; prepare the lab again as root, or install qemu-system-x86", ErrUnavailable, err)
	}
	return errs.String(), err
}
