package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// envMain makes the test's binary the command.
const envMain = "JOOLCTL_LAB_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(envMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// labCommand is a run of the command.
func labCommand(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), envMain+"=1")
	return cmd
}

// TestMistakes has command lines that boot no machine.
func TestMistakes(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"test -run TestHael", "lab: the guest has no test TestHael; its tests are "},
		{"test", "lab: no test was named; the guest's tests are TestBGPWithBIRD,"},
		{"test TestHeal", "usage:\n"},
		{"system -suite trixie", "usage:\n"},
		{"system -- true", "lab: lab system boots the Debian of a suite; add -suite bookworm or -suite trixie\n"},
		{"shell now", "usage:\n"},
		{"test -run TestHeal -count many", `invalid value "many" for flag -count`},
	} {
		out, err := labCommand(t, strings.Fields(c.args)...).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 2 || !strings.HasPrefix(string(out), c.want) {
			t.Errorf("lab %s: %v, %q; want exit status 2 and %q", c.args, err, out, c.want)
		}
	}
}
