package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"joolctl/e2e"
	"joolctl/e2e/guest"
	"joolctl/e2e/lab"
)

// shellOptions are lab shell's flags.
type shellOptions struct {
	suite    string
	jool     string
	topology bool
	files    map[string]string
}

func shell(ctx context.Context, args []string) (int, error) {
	o := shellOptions{files: map[string]string{}}
	flags := flag.NewFlagSet("lab shell", flag.ContinueOnError)
	flags.StringVar(&o.suite, "suite", "", suiteUsage())
	flags.StringVar(&o.jool, "jool", "", "load this `version` of Jool (default the newest)")
	flags.BoolVar(&o.topology, "topology", false, "make two NAT64s with an IPv6 and an IPv4 host first, in namespaces")
	fileFlag(flags, o.files)
	if err := flags.Parse(args); err != nil {
		return badFlags(err)
	}
	if flags.NArg() > 0 {
		return 2, errUsage
	}
	return exitStatus(e2e.Prepared(ctx, o.suite, o.run))
}

func (o *shellOptions) run(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	dir, err := os.MkdirTemp("", "joolctl-shell-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	o.jool = cmp.Or(o.jool, l.Newest())
	g, err := e2e.GuestFor(l, "shell", o.jool, true)
	if err != nil {
		return err
	}
	g.Files, g.Stdout = o.files, os.Stdout
	g.Files[guest.Shell] = filepath.Join(dir, "shell")
	if o.topology {
		g.Args = append(g.Args, "-test.run=^TestShell$")
	} else {
		g.Command = []string{guest.Shell}
	}
	script, restore, err := o.attach(&g)
	if err != nil {
		return err
	}
	defer restore()
	if err := os.WriteFile(g.Files[guest.Shell], script, 0o755); err != nil {
		return err
	}
	_, err = programs.Run(ctx, l, g)
	return err
}

const shellPath = "#!/usr/bin/bash\nexport PATH=/p:$PATH\n"

// attach returns the script that the machine runs: a shell on its terminal if standard input is one, else what standard
// input says. restore undoes what it did to the host's terminal.
func (o *shellOptions) attach(g *e2e.Guest) (script []byte, restore func(), err error) {
	stdin := int(os.Stdin.Fd())
	size, err := unix.IoctlGetWinsize(stdin, unix.TIOCGWINSZ)
	if err != nil {
		script, err := io.ReadAll(os.Stdin)
		return append([]byte(shellPath), script...), func() {}, err
	}
	if restore, err = rawTerminal(stdin); err != nil {
		return nil, nil, fmt.Errorf("terminal: %w", err)
	}
	g.Terminal = struct {
		io.Reader
		io.Writer
	}{os.Stdin, os.Stdout}
	term := os.Getenv("TERM")
	for _, dir := range []string{"/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo"} {
		if file := filepath.Join(dir, term[:min(1, len(term))], term); term != "" && isFile(file) {
			g.Files[file] = file
		}
	}
	return fmt.Appendf(nil, `%sexport TERM=%s
[ %d = 0 ] || stty rows %[3]d cols %d
echo "Jool %[5]s. In PATH: joolctl, joold (this project's), /usr/bin/joold (upstream's), jool, ip, tcpdump. exit ends the machine."
exec bash --norc -i
`, shellPath, cmp.Or(term, "dumb"), size.Row, size.Col, o.jool), restore, nil
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// rawTerminal passes each key on as it is pressed, ^C too.
func rawTerminal(fd int) (restore func(), err error) {
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(fd, unix.TCSETS, before) }, nil
}
