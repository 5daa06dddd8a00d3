package lab

import (
	"regexp"
	"strings"
)

// troubleStart matches the first line of a kernel report that must never appear.
var troubleStart = regexp.MustCompile(`Kernel panic|\bBUG:|kernel BUG at|\bWARNING:|\bOops:|general protection fault|` +
	`unable to handle|UBSAN:|refcount_t:|unregister_netdevice: waiting|blocked for more than|Out of memory:|double free|` +
	`scheduling while atomic`)

var troubleEnd = regexp.MustCompile(`---\[ end |Rebooting in|^$`)

const troubleLines = 80

// kernelTrouble finds the reports of trouble in a kernel's console, each as one text of several lines.
func kernelTrouble(console string) []string {
	var reports []string
	var report []string
	flush := func() {
		if len(report) > 0 {
			reports = append(reports, strings.Join(report, "\n"))
			report = nil
		}
	}
	for line := range strings.Lines(console) {
		line = strings.TrimRight(line, "\r\n")
		if len(report) == 0 && !troubleStart.MatchString(line) {
			continue
		}
		report = append(report, line)
		if troubleEnd.MatchString(line) || len(report) == troubleLines {
			flush()
		}
	}
	flush()
	return reports
}
