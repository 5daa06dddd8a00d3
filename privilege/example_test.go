package privilege_test

import (
	"fmt"

	"golang.org/x/sys/unix"

	"joolctl/privilege"
)

// A program that enters no namespace needs no CAP_SYS_ADMIN. The example has no output, so go test does not run it: the test's
// process would lose the capability.
func ExampleDrop() {
	if err := privilege.Drop(unix.CAP_SYS_ADMIN); err != nil {
		fmt.Println("CAP_SYS_ADMIN stays:", err)
	}
}
