package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"joolctl/cmd/joolctl/internal/table"
)

// newSort adds the flag --sort to a command.
func newSort(cmd *cobra.Command, preset string) *string {
	order := cmd.Flags().String("sort", preset, "order of the rows: "+anyOf(table.OrderNames()))
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(table.OrderNames(), cobra.ShellCompDirectiveNoFileComp)) // fails only for unknown flags
	return order
}

func orderOf(name string) (table.Order, error) {
	order, ok := table.OrderOf(name)
	if !ok {
		return order, fmt.Errorf("there is no order %q; write %s", name, anyOf(table.OrderNames()))
	}
	return order, nil
}
