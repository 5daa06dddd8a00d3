package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"joolctl/cmd/internal/logging"
	"joolctl/cmd/internal/servicemanager"
	"joolctl/cmd/internal/version"
	"joolctl/configdir"
	"joolctl/eventlog"
	"joolctl/events"
	"joolctl/fdstore"
	"joolctl/metrics"
	"joolctl/nsthread"
	"joolctl/supervisor"
	"joolctl/timerslack"
	"joolctl/worker"
)

func newUp(p *program) *cobra.Command {
	var address string
	var o metricsOptions
	var logOptions *logging.Options
	cmd := &cobra.Command{
		Use:   "up [DIR]",
		Short: "Supervise a directory of pairs, in the foreground",
		Long: `Supervise the pairs of a directory (default ` + defaultDir + `), in the foreground.

A pair is NAME/netsocket.json and NAME/modsocket.json, or NAME.netsocket.json and
NAME.modsocket.json. Each gets a worker for its Jool instance. Changes of the files
take effect by themselves; SIGHUP rereads them at once, SIGTERM and SIGINT stop
all workers. The log goes to stderr, or with fields to systemd's journal if systemd
has connected stderr to it. "joolctl log-level" changes what is logged.

With --metrics it serves metrics for Prometheus at /metrics, whether it works at
/healthz, and whether this host is ready to take over at /readyz, as the command
"joolctl ready --all" says. Everybody who reaches the address may read them.`,
		Example: `  joolctl up --metrics 192.0.2.1             # port ` + strconv.Itoa(metrics.DefaultPort) + `
  joolctl up --metrics '[2001:db8::1]:8080' --metrics-module
  joolctl up --metrics unix:/run/joolctl/metrics.sock`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if cmd.Flags().Changed("metrics") {
				o.serve = true
				if o.address, err = metrics.ParseAddress(address); err != nil {
					return err
				}
			}
			if o.module && !o.serve {
				return errors.New("--metrics-module needs --metrics, which says where metrics are served")
			}
			if err := p.up(cmd.Context(), directory(args), o, logOptions); err != nil {
				return failed{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&address, "metrics", "", fmt.Sprintf("serve metrics on `ADDRESS[:PORT]` (port %d without one) or unix:PATH", metrics.DefaultPort))
	logOptions = logging.Flags(cmd)
	cmd.Flags().BoolVar(&o.module, "metrics-module", false, "also serve the counters of Jool's module")
	return cmd
}

// metricsOptions say on which address metrics are served, if any.
type metricsOptions struct {
	serve, module bool
	address       metrics.Address
}

// logTo returns the handler for the log. Tests replace it to wrap the handler.
var logTo = func(h slog.Handler) slog.Handler { return h }

// directory returns the directory of a command: its argument, or the default.
func directory(args []string) string {
	if len(args) > 0 {
		return args[0]
	}
	return chooseDir(defaultDir, otherDir)
}

// chooseDir returns the second directory if only that exists, otherwise the first.
func chooseDir(first, second string) string {
	_, err := os.Stat(first)
	if info, otherErr := os.Stat(second); errors.Is(err, fs.ErrNotExist) && otherErr == nil && info.IsDir() {
		return second
	}
	return first
}

func (p *program) up(ctx context.Context, dir string, o metricsOptions, logOptions *logging.Options) error {
	timerslack.RaiseProcessors()
	out := logging.Open("joolctl", p.stderr, logOptions)
	defer out.Close()
	log := slog.New(logTo(out.Handler()))
	if os.Getenv("GOGC") == "" {
		// The workers allocate nothing per datagram, so garbage collection costs little time, and a lower target saves
		// memory.
		debug.SetGCPercent(50)
	}
	// With transparent huge pages, the stack of each of hundreds of threads would occupy its full size.
	if err := unix.Prctl(unix.PR_SET_THP_DISABLE, 1, 0, 0, 0); err != nil {
		log.Warn("huge pages can't be turned off; this takes more memory", "error", err)
	}
	store, err := fdstore.Open(log)
	if err != nil {
		return err
	}
	threads := nsthread.NewPool()
	threads.OnStray(func(err error) {
		log.Error("a panic that ended no worker; please report this", "error", err)
	})
	env := worker.Env{Threads: threads, Log: log, EventLog: eventlog.New(time.Now()), Store: store, Claims: worker.NewClaims()}
	options := p.options(dir, env)
	options.LogLevel = out.Level
	return p.supervise(ctx, options, o)
}

// options returns the options of the supervisor.
func (p *program) options(dir string, env worker.Env) supervisor.Options {
	log, store := env.Log, env.Store
	return supervisor.Options{
		Dir:     dir,
		Socket:  p.socket,
		Version: version.String(),
		NewWorker: func(spec configdir.Spec, counters *worker.Counters) supervisor.Worker {
			return worker.New(spec, env, counters)
		},
		Probe: func(spec configdir.Spec) error { return worker.Probe(spec, env) },
		OpenStats: func(spec configdir.Spec, stats func() worker.Stats) (supervisor.StatsServer, error) {
			return worker.OpenStats(spec, stats, store)
		},
		Watch: func(ctx context.Context, dir string, changed func(), calm func() bool) {
			supervisor.Watch(ctx, log, dir, changed, calm)
		},
		Events:   events.New(env.Threads, log),
		EventLog: env.EventLog,
		Store:    store,
		Notify:   func(message string) { servicemanager.Tell(log, message) },
		Watchdog: servicemanager.Watchdog(),
		Log:      log,
		Metrics:  func(s *supervisor.Supervisor) http.Handler { return exporterOf(s, false) },
	}
}

func exporterOf(s *supervisor.Supervisor, module bool) *metrics.Exporter {
	info := version.Get()
	return metrics.New(s, metrics.Build{Version: info.Version, Commit: info.Commit, Go: info.Go}, module)
}

// supervise runs a supervisor until ctx ends, and serves its metrics.
func (p *program) supervise(ctx context.Context, options supervisor.Options, o metricsOptions) error {
	s, log := supervisor.New(options), options.Log
	ctx, cancel := context.WithCancel(ctx)
	var background sync.WaitGroup
	if o.serve {
		background.Go(func() { metrics.Serve(ctx, o.address, exporterOf(s, o.module).Handler(), log) })
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	background.Go(func() { reloadOn(ctx, hangup, s, log) })
	err := s.Run(ctx)
	cancel()
	background.Wait()
	return err
}

// reloadOn makes the supervisor read its directory again at every signal.
func reloadOn(ctx context.Context, hangup <-chan os.Signal, s *supervisor.Supervisor, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-hangup:
		}
		reload, err := s.Reload(ctx)
		if err != nil {
			log.Error("the directory was not read again", "error", err)
			continue
		}
		log.Info("the directory was read again", "result",
			fmt.Sprintf("%d changes, %d refused", len(reload.Changes), len(reload.Refused)))
	}
}
