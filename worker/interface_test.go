package worker

import (
	"strings"
	"testing"
	"time"

	"joolctl/nsthread/nstest"
)

// TestLinkTrouble sets the link of a running worker down, at either end. The worker continues, and shows and logs the trouble.
func TestLinkTrouble(t *testing.T) {
	bed := newTestbed(t, 2)
	h := bed.host(0).start()
	ns := bed.ns[0]
	told := func(want string) {
		t.Helper()
		eventually(t, "the trouble is: "+want, func() bool {
			h.Check() // as the supervisor does when the kernel announces a change of a link
			got := h.Sync().Trouble
			return got == want || want != "" && strings.HasPrefix(got, want)
		})
	}
	told("")
	began := time.Now()
	for _, c := range []struct{ ns, down, want, up string }{
		{ns, "link set sync down", `interface "sync" is down in namespace "` + ns + `"; type: ip netns exec ` + ns + " ip link set sync up", "link set sync up"},
		{bed.ns[1], "link set sync down", `interface "sync" has no carrier in namespace "` + ns + `"; check its cable`, "link set sync up"},
	} {
		nstest.IP(t, c.ns, c.down)
		told(c.want)
		nstest.IP(t, c.ns, c.up)
		told("")
	}
	if n, most := h.log.count("can neither send nor receive"), 1+int(time.Since(began)/logEvery); n < 1 || n > most {
		t.Errorf("%d log lines about the link, want one per %v, at most %d", n, logEvery, most)
	}

	// An interface that is down when the worker starts, and one that is down when the worker moves to it.
	nstest.IP(t, bed.ns[0], "link add other type veth peer name other2", "link set sync down")
	h.stop()
	h.restart()
	if got := h.Sync().Trouble; !strings.HasPrefix(got, `interface "sync" is down`) {
		t.Errorf("at the start: %q", got)
	}
	spec := h.spec()
	spec.InInterface, spec.OutInterface = "other", "other"
	if err := h.Reconfigure(spec); err != nil {
		t.Fatal(err)
	}
	if got := h.Sync().Trouble; !strings.HasPrefix(got, `interface "other" is down`) {
		t.Errorf("after the change: %q", got)
	}
}
