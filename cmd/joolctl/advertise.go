package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
	"joolctl/supervisor"
)

// advertisePeriod is how often advertise --wait asks for the progress.
const advertisePeriod = 200 * time.Millisecond

func newAdvertise(p *program) *cobra.Command {
	var all, wait bool
	cmd := &cobra.Command{
		Use:   "advertise NAME...|--all",
		Short: "Send the peers all sessions of some instances",
		Long: `Send the peers all sessions of some instances, oldest first. Upstream's joolds get
them in their own form, at netsocket's "advertise rate"; joolctls get a full sync.
Returns as soon as it has begun; "status" shows how far it is.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			outcomes, err := p.client().Advertise(cmd.Context(), args, all)
			if err != nil {
				return failed{err}
			}
			result := p.printOutcomes(outcomes, "advertising")
			if !wait {
				return result
			}
			if err := p.waitAdvertised(cmd.Context(), outcomes); err != nil {
				return err
			}
			return result
		},
	}
	cmd.Flags().BoolVar(&wait, "wait", false, "return when everything has been sent")
	return namesOrAll(cmd, p, &all)
}

// printOutcomes prints the result of a command for each pair.
func (p *program) printOutcomes(outcomes []supervisor.Outcome, done string) error {
	var result error
	for _, o := range outcomes {
		switch a := o.Advertise; {
		case o.Error != "":
			fmt.Fprintf(p.stderr, "joolctl: %s: %s\n", o.Name, o.Error)
			result = errNotWell
		case a != nil:
			fmt.Fprintf(p.stdout, "%s: %s %s at %d a second\n", o.Name, done, table.Count(a.Total, "session", "sessions"), a.Rate)
		default:
			fmt.Fprintf(p.stdout, "%s: %s\n", o.Name, done)
		}
	}
	return result
}

// waitAdvertised returns when all advertises that began have ended.
func (p *program) waitAdvertised(ctx context.Context, outcomes []supervisor.Outcome) error {
	var names []string
	for _, o := range outcomes {
		if o.Error == "" {
			names = append(names, o.Name)
		}
	}
	var result error
	for len(names) > 0 {
		status, err := p.client().Status(ctx, names)
		if err != nil {
			return failed{err}
		}
		names = nil
		for _, row := range status.Workers {
			switch a := row.Advertise; {
			case a == nil:
				fmt.Fprintf(p.stderr, "joolctl: %s: its worker ended before all was sent; it is %s now\n", row.Name, row.State)
				result = errNotWell
			case a.Error != "":
				fmt.Fprintf(p.stderr, "joolctl: %s: %v\n", row.Name, a)
				result = errNotWell
			case a.Ended:
				fmt.Fprintf(p.stdout, "%s: %v\n", row.Name, a)
			default:
				names = append(names, row.Name)
			}
		}
		if len(names) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			return failed{ctx.Err()}
		case <-time.After(advertisePeriod):
		}
	}
	return result
}
