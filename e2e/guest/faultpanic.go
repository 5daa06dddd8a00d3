package guest

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// envPanics has the value that the program's part with the tag "provoke" looks for: a directory.
const envPanics = "JOOLCTL_PANICS"

// panicFault has J's worker panic over a datagram.
func panicFault() fault {
	return fault{
		name: "active side: a worker panics", onlyOurs: true,
		breaks: func(t testing.TB, s *site) {
			order := filepath.Join(os.Getenv(envPanics), fmt.Sprintf("%d.%s", s.hostJ.processes[0].cmd.Process.Pid, s.pairJ.name))
			if err := os.WriteFile(order, nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := s.k.openGroup(t, s.group).Write([]byte("garbage")); err != nil {
				t.Fatal(err)
			}
			eventually(t, replyWithin, "the worker panics", func() string {
				if _, err := os.Stat(order); err == nil {
					return "it has not"
				}
				return ""
			})
		},
		repairs: func(testing.TB, *site) {},
	}
}
