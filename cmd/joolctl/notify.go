package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"
)

// notifyPatience limits the requests of notify to the supervisor.
const notifyPatience = time.Second

func newNotify(p *program) *cobra.Command {
	all := false
	cmd := &cobra.Command{
		Use:   "notify NAME...|--all INSTANCE|GROUP VRRP STATE [PRIORITY]",
		Short: "Accept keepalived's notification that this host begins or stops to serve",
		Long: `Accept keepalived's notification about the VRRP instance or group VRRP: keepalived
appends the arguments behind the pairs' names. It records the state for
"joolctl ready --vrrp VRRP". When the host becomes BACKUP, it also has the named
pairs advertise their tables, for peers with upstream's joold; those with
joolctl request what they lack by themselves. It returns at once.`,
		Example: `  notify "/usr/bin/joolctl notify --all"       # in keepalived.conf
  notify "/usr/bin/joolctl notify blue red"`,
		Args: func(_ *cobra.Command, args []string) error {
			n, err := parseNotification(args)
			if err == nil && all == (len(n.pairs) > 0) {
				err = errors.New("name pairs or say --all, before what keepalived appends")
			}
			return err
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := parseNotification(args)
			if err != nil {
				return err
			}
			return p.notify(cmd.Context(), n, all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "every pair")
	return cmd
}

// notification contains the arguments that keepalived passes for a VRRP instance or group.
type notification struct {
	pairs       []string
	vrrp, state string
}

// parseNotification reads the arguments. The names of pairs come first; keepalived appends INSTANCE or GROUP, the name, the state and the
// priority.
func parseNotification(args []string) (notification, error) {
	for _, appended := range []int{4, 3} {
		if at := len(args) - appended; at >= 0 && slices.Contains([]string{"INSTANCE", "GROUP"}, args[at]) {
			return notification{pairs: args[:at], vrrp: args[at+1], state: args[at+2]}, nil
		}
	}
	return notification{}, errors.New(`the arguments do not end with those of keepalived (INSTANCE or GROUP, a name, a state, a priority); write notify "/usr/bin/joolctl notify --all" in keepalived.conf`)
}

func (p *program) notify(ctx context.Context, n notification, all bool) error {
	recorded := p.vrrp.record(n.vrrp, n.state)
	if recorded != nil {
		recorded = fmt.Errorf("recording that %s is %s: %w", n.vrrp, n.state, recorded)
	}
	var advertised error
	if n.state == "BACKUP" {
		ctx, cancel := context.WithTimeout(ctx, notifyPatience)
		defer cancel()
		outcomes, err := p.client().Advertise(ctx, n.pairs, all)
		if err != nil {
			advertised = fmt.Errorf("advertising: %w", err)
		}
		for _, o := range outcomes {
			if o.Error != "" {
				advertised = errors.Join(advertised, fmt.Errorf("advertising %s: %s", o.Name, o.Error))
			}
		}
	}
	if err := errors.Join(recorded, advertised); err != nil {
		return failed{err}
	}
	return nil
}
