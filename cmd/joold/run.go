package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/logging"
	"joolctl/cmd/internal/version"
	"joolctl/configdir"
)

// The exit codes.
const (
	exitWell    = 0
	exitNotWell = 1
	exitUsage   = 2
)

// errBad ends a run whose files have errors. Each problem has been printed already.
var errBad = errors.New("bad files")

// run is the whole program. It returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stderr)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitWell
	case errors.Is(err, errBad):
		return exitNotWell
	}
	fmt.Fprintf(stderr, "joold: %v; see `joold --help`\n", err)
	return exitUsage
}

func newCommand(stderr io.Writer) *cobra.Command {
	var logOptions *logging.Options
	cmd := &cobra.Command{
		Use:   "joold [NETSOCKET [MODSOCKET [STATSPORT]]]",
		Short: "Keeps one Jool instance in step with its peers",
		Long: `Keeps the sessions of one Jool instance in step with its peers' over a multicast
group, or by unicast: what the kernel module reports goes to the peers, and what
they send goes to the module. Runs in the foreground and logs to stderr; SIGTERM and SIGINT
end it, SIGUSR1 switches the log to debug and back. What is missing (module,
instance, interface) is waited for.

  NETSOCKET  the file that describes the network socket: "multicast address",
             "multicast port" (or "peers" and "port"), "in interface", "out interface",
             "reuseaddr", "ttl"
             (default: netsocket.json in the current directory)
  MODSOCKET  the file that names the "instance", and its "namespace" if that is
             not the one joold is started in
             (default: modsocket.json in the current directory; if NETSOCKET is
             given and there is no such file, the instance "default")
  STATSPORT  a UDP port, or a service's name. Every datagram that is sent to it is
             answered with the statistics (default: modsocket's "stats port", else
             no statistics)

To run many instances on one host, see joolctl.`,
		Example: `  joold
  joold /etc/joold.d/blue/netsocket.json /etc/joold.d/blue/modsocket.json 4000`,
		Version:       version.String(),
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.MaximumNArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			pair, err := readArguments(args)
			if err != nil {
				return err
			}
			if !printProblems(stderr, pair) {
				return errBad
			}
			synchronise(cmd.Context(), pair.Spec, stderr, logOptions)
			return nil
		},
	}
	logOptions = logging.Flags(cmd)
	cmd.SetVersionTemplate("{{.Version}}\n")
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}

// readArguments reads the two files. A stats port in the arguments overrides that of the file.
func readArguments(args []string) (configdir.Pair, error) {
	paths := []string{"netsocket.json", "modsocket.json"}
	copy(paths, args)
	if _, err := os.Lstat(paths[1]); len(args) == 1 && errors.Is(err, fs.ErrNotExist) {
		paths[1] = "" // upstream up to 4.1.12 then serves the instance "default"
	}
	pair := configdir.ReadPair("joold", paths[0], paths[1])
	if len(args) == 3 {
		port, err := configdir.ParsePort(args[2])
		if err != nil {
			return pair, fmt.Errorf("stats port: %w", err)
		}
		pair.Spec.StatsPort = port
	}
	return pair, nil
}

// printProblems prints the problems of the files. ok is true if the pair can run despite them.
func printProblems(stderr io.Writer, pair configdir.Pair) (ok bool) {
	for _, problem := range pair.Problems {
		line := problem.Error()
		if problem.Warning {
			line += " (warning)"
		}
		fmt.Fprintf(stderr, "joold: %s\n", line)
	}
	return pair.OK()
}
