package e2e

import (
	"fmt"
	"os"
	"strings"
)

// Where tables of measurements go, from the module's top directory.
const (
	Benchmarks  = "docs/benchmarks.md"
	Reliability = "docs/reliability.md"
)

// WriteTable prints a command's table and puts it between the two lines of a
// document that it stands between.
func WriteTable(file, command, text string) error {
	fmt.Print("\n", text)
	begin, end := fmt.Sprintf("<!-- made by %s -->\n", command), fmt.Sprintf("<!-- end of %s -->\n", command)
	document, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%w; run this in the top directory", err)
	}
	before, rest, ok := strings.Cut(string(document), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", file, begin, end)
	}
	return os.WriteFile(file, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
