package main

import (
	"context"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/doctor"
	"joolctl/supervisor"
)

const (
	keepalivedConf = "/etc/keepalived/keepalived.conf"
	// doctorPatience limits the time for all checks together.
	doctorPatience = 30 * time.Second
)

func newDoctor(p *program) *cobra.Command {
	var out *output
	var quiet bool
	cmd := &cobra.Command{
		Use:   "doctor [DIR]",
		Short: "Check the host and each pair, and print what to do about each fault",
		Long: `Check the host and each pair of a directory (default: that of the supervisor, or
` + defaultDir + `), and print what to do about each fault. It changes nothing, and
works with and without a running supervisor. Needs root. Exits with 1 if a check
fails; warnings do not count.

The checks: ` + strings.Join(doctor.Names(), ", ") + `.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorPatience)
			defer cancel()
			return p.printReport(doctor.Run(ctx, p.doctorOptions(ctx, args)), out, quiet)
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "leave out the lines of checks that are ok (text only)")
	out = newOutput(cmd, "text", "json")
	return cmd
}

func (p *program) doctorOptions(ctx context.Context, args []string) doctor.Options {
	status, err := p.client().Status(ctx, nil)
	o := doctor.Options{
		Dir: directory(args), Socket: p.socket, Keepalived: keepalivedConf,
		Status: func(context.Context) (supervisor.Status, error) { return status, err },
	}
	if len(args) == 0 && err == nil {
		o.Dir = status.Directory
	}
	return o
}

// levels are the first words of the lines. Failures are in capital letters.
var levels = map[doctor.Level]string{doctor.OK: "ok", doctor.Warn: "warn", doctor.Fail: "FAIL"}

func (p *program) printReport(report doctor.Report, out *output, quiet bool) error {
	if out.json() {
		if err := writeJSON(p.stdout, report); err != nil {
			return failed{err}
		}
	} else if err := p.writeReport(report, quiet); err != nil {
		return failed{err}
	}
	if !report.Healthy {
		return errNotWell
	}
	return nil
}

// writeReport writes a line for each finding and its remedy, and the number of findings of each level.
func (p *program) writeReport(report doctor.Report, quiet bool) error {
	w := tabwriter.NewWriter(p.stdout, 0, 0, 2, ' ', 0)
	found := make(map[doctor.Level]int)
	for _, f := range report.Findings {
		found[f.Level]++
		if quiet && f.Level == doctor.OK {
			continue
		}
		subject := f.Check
		if f.Pair != "" {
			subject = f.Pair + " " + f.Check
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", levels[f.Level], table.Cell(subject), table.Cell(f.Observed))
		if f.Remedy != "" {
			fmt.Fprintf(w, "\t\t%s\n", table.Cell(f.Remedy))
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(p.stdout, "\n%d ok, %d warn, %d FAIL\n", found[doctor.OK], found[doctor.Warn], found[doctor.Fail])
	return err
}
