package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"joolctl/seal"
)

func newGenkey(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "genkey [ID]",
		Short: "Print a new key for a key file",
		Long: `Print a line with a new random key, for the file that the netsocket key
"key file" names. All hosts of a group need the same line. ID is a number from 0
to 255 (default 1) that no other key of the file has. Only the owner of the file
may have access to it.`,
		Example: `  (umask 077; joolctl genkey > /etc/joold.d/blue.key)
  joolctl genkey 2 >> /etc/joold.d/blue.key   # another key, which only decrypts at first`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			id := uint64(1)
			if len(args) > 0 {
				var err error
				if id, err = strconv.ParseUint(args[0], 10, 8); err != nil {
					return fmt.Errorf("%q is not an ID; write a number from 0 to 255", args[0])
				}
			}
			if _, err := fmt.Fprintln(p.stdout, seal.NewKey(uint8(id)).Line()); err != nil {
				return failed{err}
			}
			return nil
		},
	}
}
