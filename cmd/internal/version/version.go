// Package version identifies the build of the programs.
package version

import (
	"runtime"
	"runtime/debug"

	"joolctl/joolnl"
	"joolctl/syncwire"
)

// release and commit are set by the linker when a package is built. For a build from a checkout, the go command records
// them.
var release, commit string

// Info is the output of `joolctl version -o json` (docs/install.md).
type Info struct {
	// Version is the release's tag, a pseudo-version of the commit, or "devel".
	Version string `json:"version"`
	// Commit is the full hash of the commit, with "+dirty" if files were changed; empty if unknown.
	Commit string `json:"commit"`
	// Go is the version of the compiler and its runtime.
	Go string `json:"go"`
	// Wire is the version of the trailer and of the control messages.
	Wire int `json:"wire"`
	// Jool lists the versions of Jool that joolctl is tested with, oldest first.
	Jool []string `json:"jool"`
}

// Get returns the available information on this build.
func Get() Info {
	build, _ := debug.ReadBuildInfo()
	info := of(build, release, commit)
	info.Go, info.Wire, info.Jool = runtime.Version(), syncwire.Version, joolnl.Tested()
	return info
}

// String returns the version alone.
func String() string { return Get().Version }

// of prefers the linker's values over those recorded by the go command. build may be nil.
func of(build *debug.BuildInfo, release, commit string) Info {
	info := Info{Version: release, Commit: commit}
	if build == nil {
		build = new(debug.BuildInfo)
	}
	if main := build.Main.Version; info.Version == "" && main != "(devel)" {
		info.Version = main
	}
	if info.Version == "" {
		info.Version = "devel"
	}
	if info.Commit == "" {
		settings := make(map[string]string)
		for _, s := range build.Settings {
			settings[s.Key] = s.Value
		}
		info.Commit = settings["vcs.revision"]
		if settings["vcs.modified"] == "true" {
			info.Commit += "+dirty"
		}
	}
	return info
}
