package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

// namesOrAll adds --all to a command that requires names of pairs or --all.
func namesOrAll(cmd *cobra.Command, p *program, all *bool) *cobra.Command {
	cmd.Flags().BoolVar(all, "all", false, "every pair")
	cmd.Args = func(_ *cobra.Command, args []string) error {
		switch {
		case *all && len(args) > 0:
			return errors.New("name pairs or say --all, not both")
		case !*all && len(args) == 0:
			return errors.New("name the pairs, or say --all")
		}
		return nil
	}
	cmd.ValidArgsFunction = p.completeNames
	return cmd
}

// completeNames returns the pairs' names that are not in args yet, for completion in a shell.
func (p *program) completeNames(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	status, err := p.client().Status(cmd.Context(), nil)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	used := make(map[string]bool)
	for _, arg := range args {
		used[arg] = true
	}
	var names []string
	for _, row := range status.Workers {
		if strings.HasPrefix(row.Name, begun) && !used[row.Name] {
			names = append(names, row.Name)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// completeOneName is completeNames for a command with one NAME, followed by files.
func (p *program) completeOneName(cmd *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveFilterDirs
	}
	return p.completeNames(cmd, args, begun)
}
