package supervisor

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"joolctl/internal/await"
	"joolctl/worker"
)

// TestFollow makes a client follow a worker's sessions until the worker ends.
func TestFollow(t *testing.T) {
	c, f := started(t, socketIn(t))
	closed := new(atomic.Bool)
	follower := worker.NewFollower(func(*worker.Follower) { closed.Store(true) })
	f.follow = func() *worker.Follower { return follower }
	begun, errEnd := make(chan struct{}), errors.New("enough")
	flows, done := make(chan Flow, 10), make(chan error, 1)
	go func() {
		done <- c.Follow(context.Background(), "a", func(flow Flow) error {
			if flow.Direction == "" && flow.Ended == "" {
				close(begun)
				return nil
			}
			flows <- flow
			if flow.Ended != "" {
				return errEnd
			}
			return nil
		})
	}()
	<-begun
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	follower.Offer(worker.Flow{Time: at, Direction: worker.Out, Entries: []byte{1, 2, 3}})
	if diff := cmp.Diff(Flow{Time: at, Direction: worker.Out, Entries: []byte{1, 2, 3}}, <-flows, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	follower.End()
	if ended := <-flows; ended.Ended != "the worker has stopped" {
		t.Errorf("the end: %+v", ended)
	}
	if err := <-done; err != errEnd {
		t.Errorf("Follow: %v", err)
	}
	await.Within(t, 5*time.Second, "the follower is closed", closed.Load)
}

// TestFollowIsRefused sends requests that must be refused.
func TestFollowIsRefused(t *testing.T) {
	c, f := started(t, socketIn(t))
	none := func(Flow) error { return errors.New("a line came") }
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if err := c.Follow(ctx, "a", none); !strings.Contains(err.Error(), worker.ErrNotRunning.Error()) {
		t.Errorf("a worker that ends: %v", err)
	}
	var unknown *UnknownName
	if err := c.Follow(ctx, "nobody", none); !errors.As(err, &unknown) {
		t.Errorf("an unknown pair: %v", err)
	}
	f.follow = func() *worker.Follower { return worker.NewFollower(func(*worker.Follower) {}) }
	begun := make(chan struct{}, maxStreams)
	for range maxStreams {
		go func() {
			_ = c.Follow(ctx, "a", func(Flow) error { begun <- struct{}{}; return nil }) // returns when ctx ends
		}()
	}
	for range maxStreams {
		<-begun
	}
	if err := c.Follow(ctx, "a", none); err == nil || err.Error() != errTooManyStreams.Error() {
		t.Errorf("one too many: %v", err)
	}
	if _, err := c.Status(ctx, nil); err != nil {
		t.Errorf("another command: %v", err)
	}
	cancel()
	await.Within(t, 5*time.Second, "the streams end", func() bool {
		ctx, end := context.WithCancel(context.Background())
		defer end()
		err := c.Follow(ctx, "a", func(Flow) error { return errors.New("a line came") })
		return err != nil && err.Error() == "a line came"
	})
}
