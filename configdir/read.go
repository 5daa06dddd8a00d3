package configdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// maxSize is the greatest length in bytes of a file that readFile reads. A pair's files have a few hundred
// bytes.
const maxSize = 64 << 10

// readFile reads a regular file of at most maxSize bytes, and follows links. It never blocks, and never opens a
// file whose opening has an effect (a FIFO, a device). On an error it returns what is wrong and what to do about
// it.
func readFile(path string, of kind) (data []byte, wrong string) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, openMessage(path, err, of)
	}
	if wrong := notReadable(path, info, of); wrong != "" {
		return nil, wrong
	}
	// Meanwhile the file may have been replaced, for example by a FIFO. So the file is opened with O_NONBLOCK,
	// and its type checked again.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, openMessage(path, err, of)
	}
	defer file.Close()
	if info, err = file.Stat(); err != nil {
		return nil, openMessage(path, err, of)
	}
	if wrong := notReadable(path, info, of); wrong != "" {
		return nil, wrong
	}
	data, err = io.ReadAll(io.LimitReader(file, maxSize+1))
	if err != nil {
		return nil, openMessage(path, err, of)
	}
	if len(data) > maxSize {
		return nil, tooLarge
	}
	return data, ""
}

var tooLarge = fmt.Sprintf("file is larger than %d bytes; write the pair's keys and nothing else", maxSize)

// notReadable returns why a file must not be read, or an empty string.
func notReadable(path string, info fs.FileInfo, of kind) string {
	is := ""
	switch mode := info.Mode(); {
	case mode.IsRegular() && of == keyFile && mode.Perm()&0o077 != 0:
		return fmt.Sprintf("other users than its owner have access to this file (mode %#o); type: chmod 600 %s", mode.Perm(), plain(path))
	case mode.IsRegular() && of == keyFile && notOurs(info, os.Geteuid()):
		return fmt.Sprintf("user %d owns this file, and can read and change the keys; type: chown root %s", info.Sys().(*syscall.Stat_t).Uid, plain(path))
	case mode.IsRegular() && info.Size() > maxSize:
		return tooLarge
	case mode.IsRegular():
		return ""
	case mode.IsDir():
		is = "a directory"
	case mode&fs.ModeNamedPipe != 0:
		is = "a FIFO"
	case mode&fs.ModeSocket != 0:
		is = "a socket"
	case mode&fs.ModeDevice != 0:
		is = "a device"
	default:
		is = "something special"
	}
	return "this is " + is + ", not a file; put a regular file or a link to one in its place"
}

// notOurs reports whether a file belongs neither to root nor to the user that runs the program. The directories
// of the path are not checked, as ssh does not check those of a private key: a user with write access to one can
// replace the file, but is then the owner of the new file.
func notOurs(info fs.FileInfo, user int) bool {
	stat, known := info.Sys().(*syscall.Stat_t)
	return known && stat.Uid != 0 && int(stat.Uid) != user
}

// openMessage returns a message for an error of the operating system.
func openMessage(path string, err error, of kind) string {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if info, err := os.Lstat(path); err == nil && info.Mode()&fs.ModeSymlink != 0 {
			target, _ := os.Readlink(path)
			return fmt.Sprintf("link to %s leads nowhere; create that file, or link to one that exists", quote(target))
		}
		return "file does not exist; create it, as in: " + of.example()
	case errors.Is(err, fs.ErrPermission):
		return "permission denied; let this user read it (chmod, chown), or run as root"
	case errors.Is(err, syscall.ELOOP):
		return "links lead in a circle; link to a regular file"
	}
	return "cannot be read (" + plain(cause(err)) + "); put a readable regular file in its place"
}

// cause returns the text of an error without the operation and the path. A Problem shows the path anyway.
func cause(err error) string {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err.Error()
	}
	return err.Error()
}
