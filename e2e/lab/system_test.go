package lab_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/e2e/lab"
	"joolctl/e2e/lab/labtest"
)

// TestSystem boots the Debian of each suite twice: the second machine's disk has no file that the first one wrote.
func TestSystem(t *testing.T) {
	for _, suite := range lab.Suites() {
		t.Run(suite, func(t *testing.T) {
			l := labtest.PrepareSuite(t, suite)
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "input"), []byte("from the host\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			kernel, err := l.KernelRelease()
			if err != nil {
				t.Fatal(err)
			}
			want := strings.Join([]string{suite, kernel, "systemd", "running", "1777 /tmp", "700 /root", "from the host", "jool " + l.Newest(), "it's me", "no line feed"}, "\n")
			for range 2 {
				var out strings.Builder
				r, err := l.Boot(t.Context(), lab.Machine{
					System: true,
					Stdout: &out,
					Files:  map[string]string{"/srv/data": dir},
					Env:    []string{"GREETING=it's me"},
					Script: `
[ ! -e /srv/written ] || echo "the disk remembers"
echo >/srv/written
. /etc/os-release; echo $VERSION_CODENAME
uname -r
cat /proc/1/comm
systemctl is-system-running --wait || systemctl --failed
stat -c '%a %n' /tmp /root
cat /srv/data/input
modprobe jool && jool instance add nat --netfilter --pool6 64:ff9b::/96 >/dev/null && echo "jool $(jool --version | cut -d. -f1-3)"
echo "$GREETING"
mkdir -p /out/d; echo '{}' >/out/d/result.json
while :; do :; done & # ends with the command
printf 'no line feed'
exit 7
`})
				t.Logf("booted in %v", r.BootTime.Round(time.Millisecond))
				if err != nil {
					t.Fatal(err)
				}
				checkResult(t, want, out.String(), r)
			}
		})
	}
}
