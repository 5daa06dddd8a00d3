package main

import (
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"joolctl/internal/docstest"
	"joolctl/internal/golden"
)

// TestCommandReference compares docs/commands.md with the commands.
func TestCommandReference(t *testing.T) {
	root := newRoot(&program{stdout: io.Discard, stderr: io.Discard})
	var b strings.Builder
	b.WriteString("# Commands\n\n" +
		"This page has the help of each command. A test generates it: `go test ./cmd/joolctl -run TestCommandReference -update`. The package has the same text as manual pages.\n\n" +
		"| command | does |\n|---|---|\n")
	var commands []*cobra.Command
	for _, c := range root.Commands() {
		switch {
		case c.Hidden || c.Name() == "help" || c.Name() == "completion":
		case c.HasSubCommands() && !c.Runnable():
			commands = append(commands, c.Commands()...)
		default:
			commands = append(commands, c)
			commands = append(commands, c.Commands()...)
		}
	}
	for _, c := range commands {
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s |\n", strings.TrimPrefix(c.CommandPath(), "joolctl "), strings.ReplaceAll(c.CommandPath(), " ", "-"), c.Short)
	}
	writeFlags(&b, "\nEach command has this flag:\n", root.PersistentFlags())
	for _, c := range commands {
		fmt.Fprintf(&b, "\n## %s\n\n```text\n%s\n```\n\n```text\n%s\n```\n", c.CommandPath(), c.UseLine(), strings.TrimSpace(longOf(c)))
		writeFlags(&b, "", flagsOf(root, c))
		if c.HasExample() {
			fmt.Fprintf(&b, "\n```text\n%s\n```\n", strings.Trim(c.Example, "\n"))
		}
	}
	golden.File(t, filepath.Join(docstest.Root, "docs", "commands.md"), b.String())
}

// flagsOf returns the flags of a command and of the commands that it belongs to, without those of all commands.
func flagsOf(root, c *cobra.Command) *pflag.FlagSet {
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range []*pflag.FlagSet{c.LocalFlags(), c.InheritedFlags()} {
		set.VisitAll(func(f *pflag.Flag) {
			if root.PersistentFlags().Lookup(f.Name) == nil {
				flags.AddFlag(f)
			}
		})
	}
	return flags
}

func longOf(c *cobra.Command) string {
	if c.Long != "" {
		return c.Long
	}
	return c.Short
}

// writeFlags writes a table of flags behind a sentence.
func writeFlags(b *strings.Builder, sentence string, flags *pflag.FlagSet) {
	var rows strings.Builder
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		name, usage := pflag.UnquoteUsage(f)
		text := "`--" + f.Name
		if name != "" {
			text += " " + name
		}
		text += "`"
		if f.Shorthand != "" {
			text = "`-" + f.Shorthand + "`, " + text
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" && f.DefValue != "0" && f.DefValue != "0s" && !strings.Contains(usage, "default") {
			usage += fmt.Sprintf("; the default is `%s`", f.DefValue)
		}
		fmt.Fprintf(&rows, "| %s | %s |\n", text, strings.ReplaceAll(usage, "|", "\\|"))
	})
	if rows.Len() > 0 {
		fmt.Fprintf(b, "%s\n| flag | does |\n|---|---|\n%s", sentence, &rows)
	}
}
