// Command packages builds the packages, and with -release everything that a release has. It runs in the project's
// directory:
//
//	go run ./packaging/cmd/packages -out dist
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	out := flag.String("out", "dist", "the directory to write to; what is in it is removed")
	arches := flag.String("arch", "amd64,arm64", "the architectures, separated by commas")
	formats := flag.String("formats", "deb,rpm,apk", "the package formats, separated by commas")
	release := flag.Bool("release", false, "build from a clean tag only, with tarballs and release notes")
	as := flag.String("as", "", "build as this `version` instead of the commit's, for tests of upgrades")
	check := flag.Bool("check", false, "build a second time from a copy of the files in another directory, and compare")
	flag.Parse()
	o := options{root: ".", out: *out, arches: strings.Split(*arches, ","), formats: strings.Split(*formats, ","), release: *release, as: *as}
	err := build(o)
	if err == nil && *check {
		err = rebuild(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "packages:", err)
		os.Exit(1)
	}
}
