package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/version"
	"joolctl/supervisor"
)

// The exit codes.
const (
	exitWell         = 0
	exitNotWell      = 1
	exitUsage        = 2
	exitNoSupervisor = 3
)

const (
	defaultSocket = "/run/joolctl/joolctl.sock"
	socketEnv     = "JOOLCTL_SOCKET"
	defaultDir    = "/etc/joold.d"
	otherDir      = "/etc/jool/joold.d"
)

// errNotWell ends a command whose output has already reported the problem.
var errNotWell = errors.New("not well")

// failed is an error of a command that was used correctly. Cobra's own errors are about usage.
type failed struct{ error }

func (f failed) Unwrap() error { return f.error }

// program contains the state that the commands share.
type program struct {
	stdout, stderr io.Writer
	socket         string
	vrrp           vrrpStates
}

func (p *program) client() supervisor.Client { return supervisor.Client{Socket: p.socket} }

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	p := &program{stdout: stdout, stderr: stderr, vrrp: vrrpStates{vrrpDir}}
	root := newRoot(p)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return p.exit(root.ExecuteContext(ctx))
}

func newRoot(p *program) *cobra.Command {
	root := &cobra.Command{
		Use:   "joolctl",
		Short: "Keeps the session tables of Jool NAT64s in step",
		Long: `Keeps the session tables of Jool NAT64s in step.

"joolctl up" supervises a directory of netsocket/modsocket pairs, one worker for
each Jool instance; the other commands ask and steer it over its control socket.

Exit codes: 0 all is well; 1 something is not (a worker that does not run, a bad
file); 2 wrong usage; 3 no supervisor answers.`,
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return errors.New("name a command")
		},
	}
	root.SetVersionTemplate("{{.Version}}\n")
	socket := os.Getenv(socketEnv)
	if socket == "" {
		socket = defaultSocket
	}
	root.PersistentFlags().StringVar(&p.socket, "socket", socket,
		"the supervisor's control socket (environment: "+socketEnv+")")
	root.AddCommand(
		newUp(p), newInit(p), newDoctor(p), newBundle(p), newStatus(p), newTop(p), newReady(p), newCheck(p), newAdvertise(p), newRestart(p),
		newReload(p), newDown(p), newNotify(p), newEvents(p), newFollow(p), newLogLevel(p), newConfig(p), newInstances(p), newGenkey(p), newMetrics(p), newVersion(p),
	)
	return root
}

// exit turns a command's error into a line for the operator and an exit code.
func (p *program) exit(err error) int {
	var none *supervisor.NoSupervisor
	var right failed
	switch {
	case err == nil:
		return exitWell
	case errors.Is(err, errNotWell):
		return exitNotWell
	case errors.As(err, &none):
		fmt.Fprintf(p.stderr, "joolctl: %s\n", explain(err))
		return exitNoSupervisor
	case errors.As(err, &right):
		fmt.Fprintf(p.stderr, "joolctl: %v\n", err)
		return exitNotWell
	}
	// Cobra writes suggestions on further lines.
	line, _, _ := strings.Cut(err.Error(), "\n")
	fmt.Fprintf(p.stderr, "joolctl: %s; see `joolctl --help`\n", line)
	return exitUsage
}

// explain returns an error on one line. If no supervisor answers, the line says what to do.
func explain(err error) string {
	var none *supervisor.NoSupervisor
	if errors.As(err, &none) {
		return fmt.Sprintf("%v; %s", err, nextAfter(none))
	}
	return err.Error()
}

// nextAfter returns what to do if no supervisor answers.
func nextAfter(none *supervisor.NoSupervisor) string {
	if errors.Is(none, syscall.EACCES) {
		return supervisor.LetIn(none.Socket)
	}
	return "start one with `systemctl start joolctl` or `joolctl up DIR`, or name another --socket"
}
