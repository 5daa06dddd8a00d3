package newpair

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Terminal returns an Ask that writes questions to w and reads one line of r for each.
func Terminal(r io.Reader, w io.Writer) Ask {
	lines := bufio.NewReader(r)
	return func(question, proposal string) (string, error) {
		fmt.Fprint(w, question)
		if proposal != "" {
			fmt.Fprintf(w, " [%s]", proposal)
		}
		fmt.Fprint(w, ": ")
		line, err := lines.ReadString('\n')
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		if line = strings.TrimSpace(line); line == "" {
			return proposal, nil
		}
		return line, nil
	}
}
