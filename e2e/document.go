package e2e

import (
	"fmt"
	"os"
	"strings"
)

// Benchmarks is where tables of measurements go, from the module's top directory.
const Benchmarks = "docs/benchmarks.md"

// WriteTable puts a text between the two lines of the document that a command's
// table stands between.
func WriteTable(command, text string) error {
	begin, end := fmt.Sprintf("<!-- made by %s -->\n", command), fmt.Sprintf("<!-- end of %s -->\n", command)
	document, err := os.ReadFile(Benchmarks)
	if err != nil {
		return fmt.Errorf("%w; run this in the top directory", err)
	}
	before, rest, ok := strings.Cut(string(document), begin)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		return fmt.Errorf("%s has no lines %q and %q", Benchmarks, begin, end)
	}
	return os.WriteFile(Benchmarks, []byte(before+begin+"\n"+text+"\n"+end+after), 0o644)
}
