package main

import (
	"io"
	"path/filepath"
	"strings"
	"testing"

	"joolctl/configdir"
	"joolctl/internal/docstest"
)

// TestDocumentedCommands checks that joold accepts the arguments of each joold command line in the documentation.
func TestDocumentedCommands(t *testing.T) {
	found := 0
	for _, c := range docstest.Commands(t, "joold") {
		if filepath.Base(c.Words[0]) != "joold" {
			continue
		}
		found++
		cmd := newCommand(io.Discard)
		cmd.InitDefaultHelpFlag()
		cmd.InitDefaultVersionFlag()
		err := cmd.ParseFlags(c.Words[1:])
		if err == nil {
			err = cmd.ValidateArgs(cmd.Flags().Args())
		}
		if args := cmd.Flags().Args(); err == nil && len(args) == 3 {
			_, err = configdir.ParsePort(args[2])
		}
		if err != nil {
			t.Errorf("%s: %s: %v", c.Where, strings.Join(c.Words, " "), err)
		}
	}
	if found < 3 {
		t.Errorf("only %d commands", found)
	}
}
