package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/newpair"
	"joolctl/configdir"
	"joolctl/internal/terminal"
	"joolctl/nsthread"
)

func newInit(p *program) *cobra.Command {
	var wish newpair.Wish
	dir := ""
	cmd := &cobra.Command{
		Use:   "init NAME",
		Short: "Write the two files of a new pair",
		Long: `Write the two files of a new pair, NAME, into a directory (default
` + defaultDir + `). On a terminal it asks for each value that no flag gives, and
proposes one. Otherwise it chooses the value if only one is possible, and names
the flag if not. It overwrites no file. It prints the command for the other
hosts: all hosts of a group need the same group, port and key.`,
		Example: `  joolctl init blue
  joolctl init blue --namespace blue --instance nat --interface eth1
  joolctl init blue --interface eth1 --key /etc/joold.d/blue.key
  joolctl init blue --peers 192.0.2.2,192.0.2.3 --key /etc/joold.d/blue.key`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			wish.Name, wish.Dir = args[0], directory(nil)
			if dir != "" {
				wish.Dir = dir
			}
			return p.init(cmd.Context(), cmd.InOrStdin(), wish)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&dir, "dir", "", "the directory of pairs (default "+defaultDir+")")
	flags.StringVar(&wish.Instance, "instance", "", "the Jool instance (default: the only one without a worker)")
	flags.StringVar(&wish.Namespace, "namespace", "", "the network namespace of the instance: a name, or a path (default: joolctl's own)")
	flags.StringVar(&wish.Interface, "interface", "", "the interface of the link to the other hosts (default: the only one that is possible)")
	flags.StringVar(&wish.Group, "group", "", "the multicast group (default "+newpair.DefaultGroup+")")
	flags.StringSliceVar(&wish.Peers, "peers", nil, "the addresses of the other hosts, in a network without multicast")
	flags.StringVar(&wish.Port, "port", "", "the UDP port of the group or the peers (default: the first free one from 6464 on)")
	flags.StringVar(&wish.KeyFile, "key", "", "the key file for sealed datagrams; it is made if it does not exist (default: clear datagrams)")
	return cmd
}

// init chooses the missing values of a wish, and writes the pair.
func (p *program) init(ctx context.Context, in io.Reader, wish newpair.Wish) error {
	host := newpair.Host{
		Instances:  func() ([]newpair.Instance, error) { return p.idleInstances(ctx, wish.Dir) },
		Interfaces: groupInterfaces,
	}
	var ask newpair.Ask
	if f, ok := in.(*os.File); ok && terminal.Is(f) && terminal.Is(p.stderr) {
		ask = newpair.Terminal(in, p.stderr)
	}
	if err := wish.Complete(host, ask); err != nil {
		return failed{err}
	}
	written, err := wish.Write()
	if err != nil {
		return failed{err}
	}
	p.warnProblems(written.Pair)
	fmt.Fprintf(p.stdout, "made %s\n", strings.Join(written.Paths, ", "))
	if wish.KeyFile != "" {
		fmt.Fprintf(p.stdout, "copy %s to the same place on the other hosts, as a file that only root can read\n", wish.KeyFile)
	}
	fmt.Fprintf(p.stdout, "on the other hosts, type: %s\n", otherHost(wish))
	return nil
}

// otherHost returns the command for the other hosts. It contains the name of this host's interface, which may differ
// there, so the operator has to check it.
func otherHost(wish newpair.Wish) string {
	words := []string{"joolctl init", wish.Name, "--instance", wish.Instance}
	if wish.Namespace != "" {
		words = append(words, "--namespace", wish.Namespace)
	}
	if wish.Interface != "" {
		words = append(words, "--interface", wish.Interface)
	}
	if len(wish.Peers) > 0 {
		words = append(words, "--peers", "THE_OTHER_HOSTS")
	} else {
		words = append(words, "--group", wish.Group)
	}
	words = append(words, "--port", wish.Port)
	if wish.KeyFile != "" {
		words = append(words, "--key", wish.KeyFile)
	}
	return strings.Join(words, " ")
}

// idleInstances returns the instances that belong to no pair of the directory, nor to a pair of the supervisor.
func (p *program) idleInstances(ctx context.Context, dir string) ([]newpair.Instance, error) {
	pairs, err := pairsIn(dir)
	if err != nil {
		return nil, err
	}
	if running, err := p.pairsOf(ctx, nil); err == nil {
		pairs = append(pairs, running...)
	}
	found, err := p.findInstances(pairs)
	if err != nil {
		return nil, err
	}
	var idle []newpair.Instance
	for _, in := range found {
		if in.Pair == "" {
			idle = append(idle, newpair.Instance{Namespace: in.Namespace, Name: in.Instance})
		}
	}
	return idle, nil
}

// pairsIn returns the pairs of a directory that are fit to run.
func pairsIn(dir string) (pairs []foundInstance, err error) {
	result, err := configdir.Read(dir)
	for _, pair := range result.Pairs {
		if pair.OK() {
			pairs = append(pairs, foundInstance{Namespace: pair.Spec.Namespace, Instance: pair.Spec.Instance, Pair: pair.Name})
		}
	}
	return pairs, err
}

// groupInterfaces returns the interfaces of a network namespace that are up and can send to a multicast group.
func groupInterfaces(namespace string) (names []string, err error) {
	thread, err := nsthread.NewPool().Get(namespace)
	if err != nil {
		return nil, err
	}
	defer thread.Release()
	doErr := thread.Do(func() {
		var all []net.Interface
		all, err = net.Interfaces()
		for _, i := range all {
			if i.Flags&net.FlagUp != 0 && i.Flags&net.FlagMulticast != 0 && i.Flags&net.FlagLoopback == 0 {
				names = append(names, i.Name)
			}
		}
	})
	if doErr != nil {
		return nil, doErr
	}
	return names, err
}
