package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"joolctl/metrics"
)

func newMetrics(p *program) *cobra.Command {
	var module bool
	var out *output
	cmd := &cobra.Command{
		Use:   "metrics",
		Short: "Print the metrics of the running supervisor",
		Long: `Print the metrics of the running supervisor, for Prometheus, as they are at
http://ADDRESS/metrics with "joolctl up --metrics ADDRESS". The supervisor does
not need that flag for this command, which asks over the control socket.`,
		Example: `  joolctl metrics
  joolctl metrics --module | grep jool_sessions
  joolctl metrics write /var/lib/prometheus/node-exporter/joolctl.prom`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			format := metrics.Text
			if out.name == "openmetrics" {
				format = metrics.OpenMetrics
			}
			if err := p.client().Metrics(cmd.Context(), format.ContentType(), module, p.stdout); err != nil {
				return failed{err}
			}
			return nil
		},
	}
	out = newOutput(cmd, "prometheus", "openmetrics")
	cmd.PersistentFlags().BoolVar(&module, "module", false, "also the counters of Jool's module")
	cmd.AddCommand(&cobra.Command{
		Use:   "write FILE",
		Short: "Write the metrics to a file, for node_exporter's textfile collector",
		Long: `Write the metrics to a file, for node_exporter's textfile collector. The file
always has a whole answer: it is written under another name, and then renamed.
If no supervisor answers, the file does not change; its age shows
that (node_textfile_mtime_seconds).`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := p.writeMetrics(cmd.Context(), args[0], module); err != nil {
				return failed{err}
			}
			return nil
		},
	})
	return cmd
}

// writeMetrics replaces a file by one with the metrics.
func (p *program) writeMetrics(ctx context.Context, path string, module bool) error {
	return replaceFile(path, func(w io.Writer) error {
		return p.client().Metrics(ctx, metrics.Text.ContentType(), module, w)
	})
}

// replaceFile writes a file that all users may read. It writes under another name, which the textfile collector ignores,
// and renames the file.
func replaceFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return fmt.Errorf("writing %s: %w; choose a directory that exists and that you may write to", path, err)
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := f.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}
