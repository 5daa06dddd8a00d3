// Command lab prepares the end-to-end lab and runs scripts in its virtual machines, by hand:
//
//	go run ./e2e/cmd/lab prepare
//	go run ./e2e/cmd/lab versions
//	go run ./e2e/cmd/lab run [-jool VERSION] [-timeout 2m] [-file HOST:GUEST]... [-out DIR] SCRIPT.sh | -- COMMAND [ARG]...
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"joolctl/e2e/lab"
)

const usage = `usage:
  lab prepare                            prepare the lab (once, some minutes, as root)
  lab versions                           list its versions of Jool
  lab run [FLAG]... SCRIPT.sh            run a bash script in a virtual machine
  lab run [FLAG]... -- COMMAND [ARG]...  run a command in a virtual machine
lab run -help lists the flags.`

// errUsage makes main print the usage.
var errUsage = errors.New("wrong usage")

func main() {
	log.SetFlags(0)
	log.SetPrefix("lab: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	status, err := command(ctx, os.Args[1:])
	stop()
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, usage)
	case err != nil:
		log.Print(err)
	}
	os.Exit(status)
}

// command runs one of the commands and returns the exit status.
func command(ctx context.Context, args []string) (int, error) {
	if len(args) == 0 {
		return 2, errUsage
	}
	switch args[0] {
	case "prepare":
		return prepare(ctx)
	case "versions":
		return versions(ctx)
	case "run":
		return run(ctx, args[1:])
	default:
		return 2, errUsage
	}
}

func prepare(ctx context.Context) (int, error) {
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return 1, err
	}
	fmt.Printf("%s: Jool %s\n", l.Dir(), strings.Join(l.Versions(), ", "))
	return 0, nil
}

func versions(ctx context.Context) (int, error) {
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return 1, err
	}
	for _, v := range l.Versions() {
		fmt.Println(v)
	}
	return 0, nil
}

func run(ctx context.Context, args []string) (int, error) {
	m := lab.Machine{Stdout: os.Stdout, Files: map[string]string{}}
	flags := flag.NewFlagSet("lab run", flag.ContinueOnError)
	flags.StringVar(&m.Jool, "jool", "", "load this `version` of Jool (default the newest)")
	flags.BoolVar(&m.NoJool, "nojool", false, "leave Jool unloaded")
	flags.IntVar(&m.MemoryMiB, "mem", 1024, "memory in `MiB`")
	flags.IntVar(&m.CPUs, "cpus", 2, "number of processors")
	flags.DurationVar(&m.Timeout, "timeout", 2*time.Minute, "kill the machine after this time")
	flags.Func("file", "copy a file or directory into the machine, as `HOST:GUEST`; may be repeated", func(s string) error {
		host, guest, ok := strings.Cut(s, ":")
		if !ok {
			return errors.New("expected HOST:GUEST")
		}
		m.Files[guest] = host
		return nil
	})
	flags.Func("extra", "have this further `version` of Jool in /jool/VERSION; may be repeated", func(s string) error {
		m.ExtraJool = append(m.ExtraJool, s)
		return nil
	})
	out := flags.String("out", "", "write the files of the machine's /out to this `directory`")
	verbose := flags.Bool("v", false, "print the kernel's console and the boot time at the end")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return 0, nil
	} else if err != nil {
		return 2, nil // the flag package has printed it
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
