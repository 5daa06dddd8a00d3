package guest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// TestShell runs the shell of `lab shell -topology` beside two NAT64s.
func TestShell(t *testing.T) {
	enter(t, "shell")
	top := newTopology(t)
	fmt.Printf("NAT64s, each with an instance \"nat\": %s (active), %s (standby). Hosts: %s (IPv6), %s (IPv4).\n",
		top.j.name, top.k.name, top.n6.name, top.n4.name)
	cmd := exec.Command(Shell)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	if err := cmd.Run(); err != nil && !errors.As(err, new(*exec.ExitError)) {
		t.Fatal(err)
	}
	os.Exit(cmd.ProcessState.ExitCode()) // the shell's status; the namespaces end with the machine
}
