package version

import (
	"runtime/debug"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOf(t *testing.T) {
	vcs := func(version, modified string) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Version: version}, Settings: []debug.BuildSetting{
			{Key: "vcs.revision", Value: "c9c8618"}, {Key: "vcs.modified", Value: modified},
		}}
	}
	for _, c := range []struct {
		name            string
		build           *debug.BuildInfo
		release, commit string
		want            Info
	}{
		{"no build information", nil, "", "", Info{Version: "devel"}},
		{"no version control", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "", "", Info{Version: "devel"}},
		{"a checkout", vcs("v0.1.0-rc1", "false"), "", "", Info{Version: "v0.1.0-rc1", Commit: "c9c8618"}},
		{"a changed checkout", vcs("v0.1.0-rc1+dirty", "true"), "", "", Info{Version: "v0.1.0-rc1+dirty", Commit: "c9c8618+dirty"}},
		{"a package", &debug.BuildInfo{Main: debug.Module{Version: "(devel)"}}, "v0.1.0", "ddbbd87", Info{Version: "v0.1.0", Commit: "ddbbd87"}},
	} {
		if d := cmp.Diff(c.want, of(c.build, c.release, c.commit)); d != "" {
			t.Errorf("%s: %s", c.name, d)
		}
	}
}
