package systemd

import (
	_ "embed"
	"strings"
	"testing"
	"time"

	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

//go:embed testdata/system.sh
var system string

// TestSystem runs the units on the systemd, the kernel and the Jool of each Debian suite: Jool works under them, namespaces that
// are added appear, namespaces that are deleted are freed, and the watchdog restarts the service when one loop is stopped.
func TestSystem(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			l := labtest.PrepareSuite(t, suite)
			dir := t.TempDir()
			install(t, dir)
			var out strings.Builder
			r, err := l.Boot(t.Context(), lab.Machine{
				System: true, Stdout: &out, Script: system, Files: map[string]string{"/srv/test": dir}, Timeout: 20 * time.Minute,
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, out.String())
			}
			compare(t, "system", out.String(), string(r.Files["log"])+string(r.Files["journal"]))
			if len(r.KernelTrouble) > 0 {
				t.Errorf("kernel trouble: %s", r.KernelTrouble)
			}
		})
	}
}
