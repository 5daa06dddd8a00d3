// Command lab prepares the end-to-end lab and runs scripts, tests and shells in its virtual machines, by hand:
//
//	go run ./e2e/cmd/lab prepare [SUITE]...
//	go run ./e2e/cmd/lab versions
//	go run ./e2e/cmd/lab run [-jool VERSION] [-timeout 2m] [-file HOST:GUEST]... [-out DIR] SCRIPT.sh | -- COMMAND [ARG]...
//	go run ./e2e/cmd/lab system -suite SUITE [-timeout 10m] [-file HOST:GUEST]... [-out DIR] SCRIPT.sh | -- COMMAND [ARG]...
//	go run ./e2e/cmd/lab test [-jool VERSION] [-v] [-count N] [-out DIR] -run TEST[/SUBTEST]
//	go run ./e2e/cmd/lab shell [-jool VERSION] [-topology] [-file HOST:GUEST]...
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"joolctl/e2e"
)

const usage = `usage:
  lab prepare [SUITE]...                 prepare the lab (once, some minutes, as root), or those of Debian suites
  lab versions                           list its versions of Jool
  lab run [FLAG]... SCRIPT.sh            run a bash script in a virtual machine
  lab run [FLAG]... -- COMMAND [ARG]...  run a command in a virtual machine
  lab system -suite SUITE [FLAG]... SCRIPT.sh, or -- COMMAND [ARG]...
                                         run it as root in a Debian with systemd, of the suite bookworm or trixie
  lab test [FLAG]... -run TEST[/SUBTEST] run one test of e2e/guest in a virtual machine
  lab shell [FLAG]...                    open a shell in a virtual machine; run what a pipe sends
lab run -help, lab system -help, lab test -help and lab shell -help list the flags.`

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
		return prepare(ctx, args[1:])
	case "versions":
		return versions(ctx)
	case "run":
		return run(ctx, args[1:])
	case "system":
		return system(ctx, args[1:])
	case "test":
		return test(ctx, args[1:])
	case "shell":
		return shell(ctx, args[1:])
	default:
		return 2, errUsage
	}
}

func prepare(ctx context.Context, suites []string) (int, error) {
	if len(suites) == 0 {
		suites = []string{""} // the lab
	}
	for _, suite := range suites {
		l, err := e2e.PrepareLab(ctx, suite)
		if err != nil {
			return 1, err
		}
		fmt.Printf("%s: Jool %s\n", l.Dir(), strings.Join(l.Versions(), ", "))
	}
	return 0, nil
}

func versions(ctx context.Context) (int, error) {
	l, err := e2e.PrepareLab(ctx, "")
	if err != nil {
		return 1, err
	}
	for _, v := range l.Versions() {
		fmt.Println(v)
	}
	return 0, nil
}
