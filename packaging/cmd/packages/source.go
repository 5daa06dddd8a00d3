package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// source says what is built.
type source struct {
	// version is the tag, such as v0.1.0-rc1. Behind a tag it is
	// v0.1.0-rc1+5.g1234567: five commits later, at 1234567. Changed files add
	// ".dirty". Without any tag it begins with v0.0.0.
	version string
	// commit is the full hash.
	commit string
	// epoch is the time of the commit, in seconds since 1970.
	epoch int64
	// tagged is true if version is a tag and nothing has changed since.
	tagged bool
}

func (s source) date() time.Time { return time.Unix(s.epoch, 0).UTC() }

func (s source) linkerFlags() string {
	const pkg = "joolctl/cmd/internal/version"
	return fmt.Sprintf("-X %s.release=%s -X %s.commit=%s", pkg, s.version, pkg, s.commit)
}

// sourceFile names the source in an archive that git made; .gitattributes has git fill it in.
const sourceFile = "packaging/source.txt"

// identify asks git, or reads the file that an archive has.
func identify(root string) (source, error) {
	if _, err := os.Stat(filepath.Join(root, ".git")); err != nil {
		text, err := os.ReadFile(filepath.Join(root, sourceFile))
		if err != nil {
			return source{}, err
		}
		return parseSource(string(text), false)
	}
	text, err := git(root, "log", "-1", "--format=%(describe:tags=true) %H %ct")
	if err != nil {
		return source{}, err
	}
	if !strings.HasPrefix(text, "v") { // no tag is before this commit
		count, err := git(root, "rev-list", "--count", "HEAD")
		if err != nil {
			return source{}, err
		}
		hash := strings.TrimSpace(text)
		text = fmt.Sprintf("v0.0.0-%s-g%s %s", strings.TrimSpace(count), hash[:7], hash)
	}
	changed, err := git(root, "status", "--porcelain")
	if err != nil {
		return source{}, err
	}
	return parseSource(text, changed != "")
}

// behind matches what git describe appends to the tag.
var behind = regexp.MustCompile(`-(\d+)-g([0-9a-f]+)$`)

// parseSource reads "DESCRIPTION COMMIT TIME".
func parseSource(text string, dirty bool) (source, error) {
	words := strings.Fields(text)
	if len(words) == 2 { // an archive of a commit that has no tag before it
		words = append([]string{"v0.0.0-0-g" + words[0][:min(7, len(words[0]))]}, words...)
	}
	if len(words) != 3 {
		return source{}, fmt.Errorf("%s: %q does not say which commit this is; build from a clone or from a release's source tarball", sourceFile, text)
	}
	s := source{version: words[0], commit: words[1]}
	if m := behind.FindStringSubmatch(s.version); m != nil {
		s.version = strings.TrimSuffix(s.version, m[0]) + "+" + m[1] + ".g" + m[2]
	}
	if dirty {
		sep := "+"
		if strings.Contains(s.version, "+") {
			sep = "."
		}
		s.version += sep + "dirty"
		s.commit += "+dirty"
	}
	s.tagged = !strings.Contains(s.version, "+")
	err := checkVersion(s.version)
	if err != nil {
		return source{}, err
	}
	if s.epoch, err = strconv.ParseInt(words[2], 10, 64); err != nil {
		return source{}, fmt.Errorf("%s: time of the commit: %w", sourceFile, err)
	}
	return s, nil
}

// checkVersion returns an error unless the version can be translated to each package format's.
func checkVersion(version string) error {
	if !regexp.MustCompile(`^v\d+\.\d+\.\d+(-(alpha|beta|rc)\d+)?(\+[0-9A-Za-z.]+)?$`).MatchString(version) {
		return fmt.Errorf("version %s: want a tag such as v0.1.0 or v0.1.0-rc1", version)
	}
	return nil
}

// debianVersion is how .deb and .rpm order versions: 0.1.0~rc1 comes before 0.1.0.
func debianVersion(version string) string {
	return strings.Replace(strings.TrimPrefix(version, "v"), "-", "~", 1)
}

// alpineVersion is how .apk orders versions: 0.1.0_rc1, then 0.1.0_rc1_p5 five commits later.
func alpineVersion(version string) string {
	version, more, _ := strings.Cut(strings.TrimPrefix(version, "v"), "+")
	version = strings.Replace(version, "-", "_", 1)
	if count, _, ok := strings.Cut(more, ".g"); ok {
		version += "_p" + count
	}
	return version
}

// export copies the files that git knows, and those that it does not ignore, and fills in the source file.
func export(from, to string) error {
	src, err := identify(from)
	if err != nil {
		return err
	}
	list, err := git(from, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	if err != nil {
		return err
	}
	for name := range strings.SplitSeq(strings.Trim(list, "\x00"), "\x00") {
		data, err := os.ReadFile(filepath.Join(from, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		if name == sourceFile {
			data = fmt.Appendf(nil, "%s %s %d\n", src.version, src.commit, src.epoch)
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func git(dir string, args ...string) (string, error) {
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", fmt.Errorf("git %s: %w: %s", args[0], err, exit.Stderr)
	}
	return string(out), err
}
