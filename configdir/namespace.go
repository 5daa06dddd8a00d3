package configdir

import (
	"path"
	"slices"
	"strings"
)

// setNamespace takes a name under /run/netns or an absolute path, as it is.
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
	}
	*target = text
	return nil
}

// sameNamespace gives one text for all the ways to spell a namespace that can
// be told without a kernel: "blue", "/run/netns/blue" and
// "/var/run/netns/blue" are one.
func sameNamespace(namespace string) string {
	if !strings.HasPrefix(namespace, "/") {
		return namespace
	}
	clean := path.Clean(namespace)
	if clean == "/proc/self/ns/net" {
		return ""
	}
	clean = strings.TrimPrefix(clean, "/var")
	if name, ok := strings.CutPrefix(clean, "/run/netns/"); ok && !strings.Contains(name, "/") {
		return name
	}
	return path.Clean(namespace)
}
