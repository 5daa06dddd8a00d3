// Package version knows which version of the programs this is.
package version

import "runtime/debug"

// fallback is what a build without version control is called; a linker flag
// may set it.
var fallback = "devel"

// String is the module's version, as the build noted it.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return fallback
	}
	return info.Main.Version
}
