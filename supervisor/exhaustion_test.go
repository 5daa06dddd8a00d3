package supervisor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/internal/await"
	"joolctl/nsthread"
	"joolctl/nsthread/nstest"
	"joolctl/worker"
	"joolctl/worker/workertest"
)

const (
	// exhaustedIn makes this test binary run a supervisor for the directory in this environment variable.
	exhaustedIn = "JOOLCTL_TEST_EXHAUSTED_IN"
	// few descriptors are enough for some of the pairs, many for all of them.
	few, many = 80, 1000
	pairs     = 30
)

// TestExhaustion runs a supervisor with too few descriptors for its pairs. Some pairs must run, the others must name the
// limit to raise, and status must answer. After the limit is raised, all pairs must run.
func TestExhaustion(t *testing.T) {
	if dir := os.Getenv(exhaustedIn); dir != "" {
		exhaustedSupervisor(t, dir)
		return
	}
	nstest.Need(t)
	dir := t.TempDir()
	for i := range pairs {
		write(t, dir, fmt.Sprintf("p%d", i), files{group: fmt.Sprint(i + 1), instance: fmt.Sprintf("nat%d", i)})
		netsocket := filepath.Join(dir, fmt.Sprintf("p%d.netsocket.json", i))
		text, err := os.ReadFile(netsocket)
		if err != nil {
			t.Fatal(err)
		}
		text = []byte(strings.Replace(string(text), "{", `{"in interface": "lo", "out interface": "lo", `, 1))
		if err := os.WriteFile(netsocket, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestExhaustion$", "-test.v")
	cmd.Env = append(os.Environ(), exhaustedIn+"="+dir)
	said := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = said, said
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v\n%s", err, said)
		}
	}()
	client := Client{Socket: filepath.Join(dir, "s")}
	counts := func() (running, short int, other string) {
		status, err := client.Status(context.Background(), nil)
		if err != nil {
			return 0, 0, err.Error()
		}
		for _, w := range status.Workers {
			switch {
			case w.State == Running:
				running++
			case w.State == Backoff && strings.Contains(w.Reason, fmt.Sprintf("as many open files as it may have, %d; raise LimitNOFILE=", few)):
				short++
			default:
				other = fmt.Sprintf("%s is %s: %s", w.Name, w.State, w.Reason)
			}
		}
		return running, short, other
	}
	settle := func(what string, holds func(running, short int) bool) {
		t.Helper()
		await.Right(t, 20*time.Second, what, func() string {
			running, short, other := counts()
			if other == "" && holds(running, short) {
				return ""
			}
			return fmt.Sprintf("%d run, %d are short of descriptors; %s", running, short, other)
		})
	}
	settle("some run", func(running, short int) bool { return running > 0 && short > 0 && running+short == pairs })
	order := func(what string) {
		t.Helper()
		if _, err := io.WriteString(stdin, what+"\n"); err != nil {
			t.Fatal(err)
		}
		await.Within(t, 10*time.Second, what, func() bool {
			_, err := os.Stat(filepath.Join(dir, what))
			return err == nil
		})
	}
	order("fill")
	// Sequential and concurrent requests must all be answered without delay.
	for range 20 {
		answers := make(chan error, 4)
		for range cap(answers) {
			go func() {
				begin := time.Now()
				_, err := client.Status(context.Background(), nil)
				if took := time.Since(begin); err == nil && took > 2*time.Second {
					err = fmt.Errorf("an answer took %v", took)
				}
				answers <- err
			}()
		}
		for range cap(answers) {
			if err := <-answers; err != nil {
				t.Fatal(err)
			}
		}
	}
	order("raise")
	settle("all run", func(running, _ int) bool { return running == pairs })
}

// exhaustedSupervisor runs a supervisor until stdin ends. The line "fill" makes it open all remaining descriptors;
// "raise" raises the limit.
func exhaustedSupervisor(t *testing.T, dir string) {
	limit := func(n uint64) {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: many}); err != nil {
			t.Error(err)
		}
	}
	kernel := workertest.NewKernel(0x04010f00)
	for i := range pairs {
		kernel.Add(t, "", fmt.Sprintf("nat%d", i))
	}
	env := worker.Env{Threads: nsthread.NewPool(), Kernel: kernel}
	s := New(Options{
		Dir: dir, Socket: filepath.Join(dir, "s"),
		NewWorker: func(spec configdir.Spec, counters *worker.Counters) Worker {
			return worker.New(spec, env, counters)
		},
	})
	limit(few)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "fill" {
			for fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC); err == nil; fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC) {
				defer unix.Close(fd)
			}
		} else {
			limit(many)
		}
		if err := os.Mkdir(filepath.Join(dir, lines.Text()), 0o755); err != nil { // needs no descriptor
			t.Error(err)
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
