package configdir

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// setNamespace accepts a name under /run/netns or an absolute path, and stores it unchanged.
func setNamespace(target *string, v value) *complaint {
	text, c := v.text()
	if c != nil {
		return c
	}
	switch {
	case text == "":
		return &complaint{what: "empty", write: `leave the key out, or write a name under /run/netns, as in "blue"`}
	case strings.ContainsFunc(text, isControl):
		return wrong("%s has a control character", quote(text))
	case slices.Contains(strings.Split(text, "/"), ".."):
		return wrong("%s has a .. in it", quote(text))
	case text == ".":
		return wrong("%s is not a name", quote(text))
	case len(text) > 255 && !strings.Contains(text, "/") || len(text) > 4095:
		return wrong("%s is longer than the system allows", quote(text))
	case strings.Contains(text, "/") && text[0] != '/':
		return wrong("%s is a relative path", quote(text))
	case strings.HasPrefix(path.Clean(text), "/proc/") && path.Clean(text) != OwnNamespace:
		return ofProcess(text)
	}
	*target = text
	return nil
}

// OwnNamespace is the path of the namespace that the program runs in.
const OwnNamespace = "/proc/self/ns/net"

// ofProcess returns the error for a path to the namespace of a process. The kernel opens another process's
// namespace only with CAP_SYS_PTRACE, which joolctl.service does not have, and it reuses the process's number
// later.
func ofProcess(text string) *complaint {
	pid := "PID"
	if second := strings.Split(path.Clean(text), "/")[2]; second != "" && strings.Trim(second, "0123456789") == "" {
		pid = second
	}
	return &complaint{
		what: quote(text) + " is the namespace of a process, which joolctl may not open without CAP_SYS_PTRACE",
		write: fmt.Sprintf(`write "%s" for joolctl's own namespace, or give that one a name, as in "ip netns attach blue %s", and write "blue"`,
			OwnNamespace, shorten(pid)),
	}
}

// sameNamespace returns one spelling for all equivalent spellings of a namespace, as far as they are known
// without asking the kernel: "blue", "/run/netns/blue" and "/var/run/netns/blue" are the same.
func sameNamespace(namespace string) string {
	if !strings.HasPrefix(namespace, "/") {
		return namespace
	}
	clean := path.Clean(namespace)
	if clean == OwnNamespace {
		return ""
	}
	clean = strings.TrimPrefix(clean, "/var")
	if name, ok := strings.CutPrefix(clean, "/run/netns/"); ok && !strings.Contains(name, "/") {
		return name
	}
	return path.Clean(namespace)
}
