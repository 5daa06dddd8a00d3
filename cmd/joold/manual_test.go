package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"joolctl/cmd/internal/manual"
)

// TestManual checks that the page has the packages' name and path, not those of upstream's joold.
func TestManual(t *testing.T) {
	dir := t.TempDir()
	if err := (manual.Book{Dir: dir, Version: "v1.2.3", Date: time.Unix(0, 0)}).Joold(newCommand(io.Discard)); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "joolctl-joold.8"))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(b), `\-`, "-")
	for _, want := range []string{
		`.TH "JOOLCTL-JOOLD" "8" "Jan 1970" "joolctl v1.2.3"`, ".SH NAME\njoolctl-joold - ",
		"/usr/libexec/joolctl/joold [NETSOCKET", "STATSPORT  a UDP port", "\n  /usr/libexec/joolctl/joold /etc/joold.d/", "joolctl.d(5)",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
}
