package lab

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestKernelTrouble(t *testing.T) {
	const noise = "[    1.0] mtrr: your CPUs had inconsistent fixed MTRR settings\r\n[    2.0] jool_common: loading out-of-tree module taints kernel.\r\n"
	const warning = "[    3.0] ------------[ cut here ]------------\r\n" +
		"[    3.0] WARNING: CPU: 0 PID: 77 at net/core/dev.c:1 f+0x1/0x2 [jool]\r\n[    3.0] Call Trace:\r\n[    3.0]  g+0x1/0x2\r\n" +
		"[    3.0] ---[ end trace 0000000000000000 ]---\r\n"
	const panics = "[    4.0] Kernel panic - not syncing: sysrq triggered crash\r\n[    4.0] Call Trace:\r\n[    4.0] Rebooting in 1 seconds..\r\n"
	tests := []struct {
		name, console string
		want          []string
	}{
		{"quiet", noise, nil},
		{"a warning between noise", noise + warning + noise, []string{"[    3.0] WARNING: CPU: 0 PID: 77 at net/core/dev.c:1 f+0x1/0x2 [jool]\n" +
			"[    3.0] Call Trace:\n[    3.0]  g+0x1/0x2\n[    3.0] ---[ end trace 0000000000000000 ]---"}},
		{"two", panics + "[ 5.0] BUG: unable to handle page fault\n", []string{
			"[    4.0] Kernel panic - not syncing: sysrq triggered crash\n[    4.0] Call Trace:\n[    4.0] Rebooting in 1 seconds..",
			"[ 5.0] BUG: unable to handle page fault"}},
		{"an endless report is cut", "Oops: 0\n" + strings.Repeat("x\n", 200), []string{"Oops: 0" + strings.Repeat("\nx", troubleLines-1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, kernelTrouble(tt.console)); diff != "" {
				t.Errorf("trouble (-want +got):\n%s", diff)
			}
		})
	}
}
