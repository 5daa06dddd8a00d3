package lab

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var testMarks = marks{begin: "@begin", end: "@end ", done: "@done", fail: "@fail "}

func tarOf(t *testing.T, name, data string) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []*tar.Header{{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755}, {Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(data))}} {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprint(w, data)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestGuestStream(t *testing.T) {
	archive := tarOf(t, "d/result.json", "a\n@end 1\nb")
	boom := errors.New("boom")
	tests := []struct {
		name, in string
		qemu     error
		out      string
		exit     int
		files    map[string][]byte
		ended    bool
		err      string
	}{
		{name: "whole", in: "noise\n@begin\none\r\ntwo\n@end 3\n" + archive + "@done\n", out: "one\ntwo\n", exit: 3,
			files: map[string][]byte{"d/result.json": []byte("a\n@end 1\nb")}, ended: true, qemu: boom},
		{name: "no line feed at the end", in: "@begin\none\ntwo@end 0\n" + archive + "@done\n", out: "one\ntwo", exit: 0,
			files: map[string][]byte{"d/result.json": []byte("a\n@end 1\nb")}, ended: true},
		{name: "cut in the files", in: "@begin\n@end 0\n" + archive, exit: 0, err: "it ended while the files of /out were being sent"},
		{name: "bad archive", in: "@begin\n@end 0\nxyz@done\n", exit: 0, ended: true, err: "files of /out: unexpected EOF"},
		{name: "cut in the command", in: "@begin\none\ntw", out: "one\ntw", exit: -1,
			err: "it ended before the command did: the kernel panicked, or the command powered it off"},
		{name: "not booted", in: "noise\n", exit: -1, err: "it ended before it had booted"},
		{name: "QEMU's error", in: "@begin\none\n", qemu: boom, out: "one\n", exit: -1, err: "boom"},
		{name: "setup failed", in: "insmod: no\n@fail jool.ko didn't load\n", exit: -1, ended: true, err: "the guest couldn't be set up: jool.ko didn't load"},
	}
	for _, tt := range tests {
		for name, size := range map[string]int{"whole": 1 << 20, "byte by byte": 1} {
			t.Run(tt.name+"/"+name, func(t *testing.T) {
				var out strings.Builder
				ended := 0
				s := newGuestStream(testMarks, &out)
				s.ended = func() { ended++ }
				for in := tt.in; in != ""; {
					n := min(size, len(in))
					s.Write([]byte(in[:n]))
					in = in[n:]
				}
				var r Result
				err := s.finish(&r, tt.qemu)
				if got := fmt.Sprint(err); err != nil && got != tt.err || err == nil && tt.err != "" {
					t.Errorf("error %v, want %q", err, tt.err)
				}
				if diff := cmp.Diff(tt.out, out.String()); diff != "" {
					t.Errorf("output (-want +got):\n%s", diff)
				}
				if r.Exit != tt.exit {
					t.Errorf("exit %d, want %d", r.Exit, tt.exit)
				}
				if diff := cmp.Diff(tt.files, r.Files); diff != "" {
					t.Errorf("files (-want +got):\n%s", diff)
				}
				if (ended == 1) != tt.ended || ended > 1 {
					t.Errorf("ended %d times, want %v", ended, tt.ended)
				}
			})
		}
	}
}

func TestGuestStreamOutputError(t *testing.T) {
	archive := tarOf(t, "x", "")
	s := newGuestStream(testMarks, errWriter{})
	if _, err := s.Write([]byte("@begin\none\ntwo\n@end 5\n" + archive + "@done\n")); err != nil {
		t.Errorf("Write: %v; the machine must go on", err)
	}
	var r Result
	err := s.finish(&r, nil)
	if want := "the command's output couldn't be written: full"; err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
	if r.Exit != 5 {
		t.Errorf("exit %d, want 5", r.Exit)
	}
}

type errWriter struct{}

func (errWriter) Write([]byte) (int, error) { return 0, errors.New("full") }

func TestTailOfOutput(t *testing.T) {
	s := newGuestStream(testMarks, nil)
	for i := range 100 {
		fmt.Fprintf(s, "line %d\n", i)
	}
	lines := strings.Split(strings.TrimSpace(s.tail()), "\n")
	if len(lines) != tailLines || lines[0] != "line 60" || lines[tailLines-1] != "line 99" {
		t.Errorf("tail has %d lines, from %q to %q", len(lines), lines[0], lines[len(lines)-1])
	}
}
