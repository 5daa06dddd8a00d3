package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/lab"
)

// machineRun is a machine to boot, and where its files and its console go.
type machineRun struct {
	lab.Machine
	suite   string // of the lab; "" is the lab of the host's own suite
	out     string
	verbose bool
	flags   *flag.FlagSet
}

// newMachineRun has the flags that lab run and lab system share.
func newMachineRun(command string) *machineRun {
	r := &machineRun{Machine: lab.Machine{Stdout: os.Stdout, Files: map[string]string{}}, flags: flag.NewFlagSet("lab "+command, flag.ContinueOnError)}
	r.flags.StringVar(&r.suite, "suite", "", suiteUsage())
	r.flags.IntVar(&r.MemoryMiB, "mem", 1024, "memory in `MiB`")
	r.flags.IntVar(&r.CPUs, "cpus", 2, "number of processors")
	fileFlag(r.flags, r.Files)
	r.flags.StringVar(&r.out, "out", "", "write the files of the machine's /out to this `directory`")
	r.flags.BoolVar(&r.verbose, "v", false, "print the kernel's console and the boot time at the end")
	return r
}

func suiteUsage() string {
	return "use the kernel and the Jool of this Debian `suite`: " + strings.Join(lab.Suites(), " or ")
}

func run(ctx context.Context, args []string) (int, error) {
	r := newMachineRun("run")
	r.flags.StringVar(&r.Jool, "jool", "", "load this `version` of Jool (default the newest)")
	r.flags.BoolVar(&r.NoJool, "nojool", false, "leave Jool unloaded")
	r.flags.DurationVar(&r.Timeout, "timeout", 2*time.Minute, "kill the machine after this time")
	r.flags.Func("extra", "have this further `version` of Jool in /jool/VERSION; may be repeated", func(s string) error {
		r.ExtraJool = append(r.ExtraJool, s)
		return nil
	})
	return r.run(ctx, args)
}

// system boots the Debian of a suite.
func system(ctx context.Context, args []string) (int, error) {
	r := newMachineRun("system")
	r.System = true
	r.flags.DurationVar(&r.Timeout, "timeout", 10*time.Minute, "kill the machine after this time")
	return r.run(ctx, args)
}

func (m *machineRun) run(ctx context.Context, args []string) (int, error) {
	if err := m.flags.Parse(args); err != nil {
		return badFlags(err)
	}
	if m.System && m.suite == "" {
		return 2, errors.New("lab system boots the Debian of a suite; add -suite " + strings.Join(lab.Suites(), " or -suite "))
	}
	if err := setCommand(&m.Machine, args, m.flags.Args()); err != nil {
		return 2, err
	}
	l, err := e2e.PrepareLab(ctx, m.suite)
	if err != nil {
		return 1, err
	}
	r, err := l.Boot(ctx, m.Machine)
	for _, trouble := range r.KernelTrouble {
		log.Printf("kernel trouble:\n%s", trouble)
	}
	if m.verbose {
		log.Printf("booted in %v; the kernel's console:\n%s", r.BootTime.Round(time.Millisecond), r.Console)
	}
	if err != nil {
		return 1, err
	}
	if m.out != "" {
		err = writeFiles(m.out, r.Files)
	}
	return r.Exit, err
}

// fileFlag adds the flag -file, which adds to the machine's files.
func fileFlag(flags *flag.FlagSet, files map[string]string) {
	flags.Func("file", "copy a file or directory into the machine, as `HOST:GUEST`; may be repeated", func(s string) error {
		host, guest, ok := strings.Cut(s, ":")
		if !ok {
			return errors.New("expected HOST:GUEST")
		}
		files[guest] = host
		return nil
	})
}

// badFlags returns the exit status for an error of the flag package, which has printed it.
func badFlags(err error) (int, error) {
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	return 2, nil
}

// setCommand sets what to run: after "--" a command, else the host's script.
func setCommand(m *lab.Machine, args, rest []string) error {
	if n := len(args) - len(rest); len(rest) > 0 && n > 0 && args[n-1] == "--" {
		m.Command = rest
		return nil
	}
	if len(rest) != 1 {
		return errUsage
	}
	script, err := os.ReadFile(rest[0])
	m.Script = string(script)
	return err
}

func writeFiles(dir string, files map[string][]byte) error {
	for name, data := range files {
		if !filepath.IsLocal(name) {
			return fmt.Errorf("the machine's file %q would be outside %s", name, dir)
		}
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}
