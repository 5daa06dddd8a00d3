//go:build manpages

// With the tag "manpages", this program writes the manual pages and the completions: go run -tags manpages ./cmd/joolctl
// DIR
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"joolctl/cmd/internal/manual"
)

func main() {
	if err := generate(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(dir string) error {
	os.Unsetenv(socketEnv) // so that the pages show the default
	book, err := manual.New(dir)
	if err != nil {
		return err
	}
	if err := book.Files(); err != nil {
		return err
	}
	root := newRoot(&program{})
	for file, write := range map[string]func(string) error{
		"joolctl.bash": func(path string) error { return root.GenBashCompletionFileV2(path, true) },
		"joolctl.zsh":  root.GenZshCompletionFile,
		"joolctl.fish": func(path string) error { return root.GenFishCompletionFile(path, true) },
	} {
		if err := write(filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	return book.Commands(root)
}
