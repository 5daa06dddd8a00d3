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

	"joolctl/e2e/lab"
)

func run(ctx context.Context, args []string) (int, error) {
	m := lab.Machine{Stdout: os.Stdout, Files: map[string]string{}}
	flags := flag.NewFlagSet("lab run", flag.ContinueOnError)
	flags.StringVar(&m.Jool, "jool", "", "load this `version` of Jool (default the newest)")
	flags.BoolVar(&m.NoJool, "nojool", false, "leave Jool unloaded")
	flags.IntVar(&m.MemoryMiB, "mem", 1024, "memory in `MiB`")
	flags.IntVar(&m.CPUs, "cpus", 2, "number of processors")
	flags.DurationVar(&m.Timeout, "timeout", 2*time.Minute, "kill the machine after this time")
	fileFlag(flags, m.Files)
	flags.Func("extra", "have this further `version` of Jool in /jool/VERSION; may be repeated", func(s string) error {
		m.ExtraJool = append(m.ExtraJool, s)
		return nil
	})
	out := flags.String("out", "", "write the files of the machine's /out to this `directory`")
	verbose := flags.Bool("v", false, "print the kernel's console and the boot time at the end")
	if err := flags.Parse(args); err != nil {
		return badFlags(err)
	}
	if err := setCommand(&m, args, flags.Args()); err != nil {
		return 2, err
	}
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return 1, err
	}
	r, err := l.Boot(ctx, m)
	for _, trouble := range r.KernelTrouble {
		log.Printf("kernel trouble:\n%s", trouble)
	}
	if *verbose {
		log.Printf("booted in %v; the kernel's console:\n%s", r.BootTime.Round(time.Millisecond), r.Console)
	}
	if err != nil {
		return 1, err
	}
	if *out != "" {
		err = writeFiles(*out, r.Files)
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
