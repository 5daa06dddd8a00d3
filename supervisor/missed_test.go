package supervisor

import (
	"testing"
	"time"

	"joolctl/nsthread/nstest"
)

// TestMissedEvents suppresses all events. The periodic check must still find that a running worker has lost something it
// depends on, and that a missing item of a waiting worker now exists.
func TestMissedEvents(t *testing.T) {
	const slowest = 15 * time.Second
	nstest.Need(t)
	for _, c := range []struct {
		name  string
		renew func(t *testing.T, r *real, ns string)
	}{
		{"interface recreated", func(t *testing.T, _ *real, ns string) {
			nstest.IP(t, ns, "link del sync", makeSync)
		}},
		{"namespace recreated", func(t *testing.T, r *real, ns string) {
			nstest.Delete(t, ns)
			nstest.Add(t, ns)
			nstest.IP(t, ns, makeSync)
			r.kernel.Add(t, ns, "nat")
		}},
		{"interface gone for a while", func(t *testing.T, r *real, ns string) {
			nstest.IP(t, ns, "link del sync")
			r.within(slowest+healWithin, Waiting, 0, `"sync" does not exist`)
			nstest.IP(t, ns, makeSync)
		}},
		{"module gone for a while", func(t *testing.T, r *real, ns string) {
			r.kernel.Load(false)
			r.within(slowest+healWithin, Waiting, 0, "modprobe jool")
			r.kernel.Load(true)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ns := nstest.New(t)
			nstest.IP(t, ns, makeSync)
			r := startRealWith(t, func(o *Options) { o.Events = nil }, func(r *real) {
				r.kernel.Add(t, ns, "nat")
				r.pair("a", ns, "sync")
			})
			r.within(5*time.Second, Running, 0, "")
			c.renew(t, r, ns)
			t.Logf("ran after %v", r.within(slowest+healWithin, Running, 1, ""))
		})
	}
}
