// Package manual writes the manual pages. The shipped programs do not import it.
package manual

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"joolctl/cmd/internal/version"
	"joolctl/configdir"
)

// Book holds the values that all pages share.
type Book struct {
	// Dir is the directory that receives one file for each page.
	Dir     string
	Version string
	Date    time.Time
}

// The packages install joold in a directory of their own, because upstream's packages own /usr/bin/joold and joold(8).
const (
	jooldPage = "joolctl-joold"
	jooldPath = "/usr/libexec/joolctl/joold"
)

const (
	section = "8"
	title   = "joolctl"
)

// New returns a book whose date is SOURCE_DATE_EPOCH.
func New(dir string) (Book, error) {
	seconds, err := strconv.ParseInt(os.Getenv("SOURCE_DATE_EPOCH"), 10, 64)
	if err != nil {
		return Book{}, fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return Book{Dir: dir, Version: version.String(), Date: time.Unix(seconds, 0).UTC()}, nil
}

// Commands writes a page for a program and one for each of its commands.
func (b Book) Commands(root *cobra.Command) error {
	prepare(root)
	return doc.GenManTree(root, b.header(section), b.Dir)
}

// Joold writes the page of joold.
func (b Book) Joold(cmd *cobra.Command) error {
	prepare(cmd)
	cmd.Example = strings.ReplaceAll(cmd.Example, "  joold", "  "+jooldPath)
	header := b.header(section)
	header.Title = strings.ToUpper(jooldPage)
	var out bytes.Buffer
	if err := doc.GenMan(cmd, header, &out); err != nil {
		return err
	}
	text := strings.Replace(out.String(), "\n"+cmd.Name()+" ", "\n"+jooldPage+" ", 1)
	text = strings.Replace(text, `\fB`+cmd.Name()+" ", `\fB`+jooldPath+" ", 1)
	return os.WriteFile(filepath.Join(b.Dir, jooldPage+"."+section), []byte(text), 0o644)
}

func (b Book) header(section string) *doc.GenManHeader {
	return &doc.GenManHeader{Section: section, Date: &b.Date, Source: "joolctl " + b.Version, Manual: title}
}

// prepare turns the help texts into Markdown, in which indented lines keep their line breaks.
func prepare(cmd *cobra.Command) {
	cmd.DisableAutoGenTag = true
	var lines []string
	for line := range strings.SplitSeq(cmd.Long, "\n") {
		if strings.HasPrefix(line, "  ") {
			line = "  " + line
		}
		lines = append(lines, line)
	}
	cmd.Long = strings.Join(lines, "\n")
	if cmd.HasParent() || !cmd.HasSubCommands() {
		cmd.Long += "\n\n# FILES\nThe files of a pair are described in **joolctl.d(5)**."
	} else {
		cmd.Long += rootFiles
	}
	for _, c := range cmd.Commands() {
		prepare(c)
	}
}

const rootFiles = `

# FILES
**/etc/joold.d**
: the pairs, see **joolctl.d(5)**

**/run/joolctl/joolctl.sock**
: the supervisor's control socket; root and the members of its group may use it

# ENVIRONMENT
**JOOLCTL_SOCKET**
: the control socket, if **--socket** is not given
`

// Files writes joolctl.d(5), with the keys that configdir knows.
func (b Book) Files() error {
	var text strings.Builder
	fmt.Fprintf(&text, "%% %q %q %q %q %q\n", "JOOLCTL.D", "5", b.Date.Format("Jan 2006"), "joolctl "+b.Version, title)
	text.WriteString(filesHead)
	file := ""
	for _, k := range configdir.Keys() {
		if k.File != file {
			file = k.File
			fmt.Fprintf(&text, "\n# KEYS OF %s\n", strings.ToUpper(file+".json"))
		}
		fmt.Fprintf(&text, "**\"%s\"**\n: %s. Write %s; for example `%s`. Default: %s.\n\n", k.Name, k.Meaning, k.Want, k.Example, k.Default)
	}
	text.WriteString(filesTail)
	return os.WriteFile(filepath.Join(b.Dir, "joolctl.d.5"), md2man.Render([]byte(text.String())), 0o644)
}

const filesHead = `# NAME
joolctl.d \- files that say which Jool instances joolctl keeps in step

# SYNOPSIS
/etc/joold.d/*NAME*/netsocket.json, /etc/joold.d/*NAME*/modsocket.json

/etc/joold.d/*NAME*.netsocket.json, /etc/joold.d/*NAME*.modsocket.json

# DESCRIPTION
Each pair of files is one worker: it keeps one Jool instance in step with its
peers over one multicast group. The netsocket file describes the network socket,
the modsocket file names the instance. Upstream's **joold** reads the same files,
and ignores the keys that it does not know.

A pair's *NAME* has at most 64 bytes, no blanks and no control characters. Hidden
files, backups and files with other names are ignored. A file is one JSON object
of at most 64 KiB; an unknown or repeated key is an error. **joolctl check** names
every mistake with file, line and column.

The supervisor follows the files as they change. A pair whose files
become bad keeps its running configuration.

A namespace is a name under /run/netns, as **ip netns** makes it, or an absolute
path. The path /proc/self/ns/net is the namespace that joolctl runs in.
`

const filesTail = `
# EXAMPLE
netsocket.json:

    {
      "multicast address": "ff08::db8:64:64",
      "multicast port": "6464",
      "in interface": "eth1",
      "out interface": "eth1",
      "reuseaddr": 1
    }

modsocket.json:

    {
      "instance": "nat",
      "tune ss": true
    }

# SEE ALSO
**joolctl(8)**, **joolctl-check(8)**, **joolctl-joold(8)**, **jool(8)**
`
