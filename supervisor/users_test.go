package supervisor

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"joolctl/nsthread/nstest"
)

// TestUsers connects as other users. The supervisor learns the users from the kernel.
func TestUsers(t *testing.T) {
	nstest.NeedRoot(t, "other users")
	socket := filepath.Join(openDir(t), "s")
	c, _ := started(t, socket)
	const group = 4711
	if err := errors.Join(os.Chown(c.Socket, 0, group), os.Chmod(c.Socket, 0o666)); err != nil {
		t.Fatal(err)
	}
	const status, restart = "GET /v1/status HTTP/1.0\r\n\r\n", "POST /v1/restart?all=true HTTP/1.0\r\n\r\n"
	for _, test := range []struct {
		name             string
		uid, gid         uint32
		groups           []uint32
		request, answers string
	}{
		{"stranger asks", 65534, 65534, nil, status, "200 OK"},
		{"stranger restarts", 65534, 65534, nil, restart, "403 Forbidden"},
		{"of the socket's group", 65534, group, nil, restart, "200 OK"},
		{"of the socket's group too", 65534, 65534, []uint32{7, group}, restart, "200 OK"},
		{"of another group", 65534, 65534, []uint32{0, group + 1}, restart, "403 Forbidden"},
		{"root", 0, 0, nil, restart, "200 OK"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var answer string
			asUser(t, test.uid, test.gid, test.groups, func() { answer = raw(t, c.Socket, test.request) })
			if !strings.Contains(answer, test.answers) {
				t.Errorf("answer %s, want %s", answer, test.answers)
			}
		})
	}
}

// openDir returns a directory that all users may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// asUser calls fn on a thread that belongs to another user. The thread then ends.
func asUser(t *testing.T, uid, gid uint32, groups []uint32, fn func()) {
	t.Helper()
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so that the thread ends with the goroutine
		var list unsafe.Pointer
		if len(groups) > 0 {
			list = unsafe.Pointer(&groups[0])
		}
		// Raw system calls change one thread; the functions of package syscall change all threads.
		for _, call := range [][4]uintptr{
			{unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(list), 0},
			{unix.SYS_SETRESGID, uintptr(gid), uintptr(gid), uintptr(gid)},
			{unix.SYS_SETRESUID, uintptr(uid), uintptr(uid), uintptr(uid)},
		} {
			if _, _, errno := syscall.RawSyscall(call[0], call[1], call[2], call[3]); errno != 0 {
				done <- errno
				return
			}
		}
		fn()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestWhoMayChange(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "s")
	if err := os.WriteFile(socket, nil, 0o660); err != nil {
		t.Fatal(err)
	}
	group := uint32(os.Getegid())
	for _, test := range []struct {
		name string
		who  caller
		want bool
	}{
		{"root", caller{known: true}, true},
		{"own user", caller{known: true, uid: uint32(os.Geteuid()), groups: []uint32{group + 1}}, true},
		{"group", caller{known: true, uid: 4711, groups: []uint32{group + 1, group}}, true},
		{"stranger", caller{known: true, uid: 4711, groups: []uint32{group + 1}}, false},
		{"nobody knows", caller{}, false},
	} {
		if got := test.who.mayChange(socket); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

func TestLetIn(t *testing.T) {
	nstest.NeedRoot(t, "files of other groups")
	socket := filepath.Join(t.TempDir(), "s")
	if got := LetIn(socket); got != "run it as root" {
		t.Errorf("without a socket: %s", got)
	}
	must(t, os.WriteFile(socket, nil, 0o660))
	for _, test := range []struct {
		group int
		want  string
	}{
		{0, "run it as root"},
		{2, `member of the group "bin": type, as root, ` + "`usermod --append --groups bin USER`"},
		{471100, `member of the group "471100"`},
	} {
		must(t, os.Chown(socket, 0, test.group))
		if got := LetIn(socket); !strings.Contains(got, test.want) {
			t.Errorf("a socket of group %d: %s, want %s", test.group, got, test.want)
		}
	}
}

func TestStrangersMayOnlyRead(t *testing.T) {
	h := newHandler(New(Options{}), "/nonexistent")
	for _, path := range []string{pathAdvertise, pathRestart, pathReload, pathDown, pathLogLevel} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path+"?all=true", nil))
		if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "as root") {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, pathFollow+"?name=a", nil))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "you may not see sessions") || len(h.supervisor.streams) != 0 {
		t.Errorf("%s: %d %s, %d streams", pathFollow, w.Code, w.Body, len(h.supervisor.streams))
	}
}
