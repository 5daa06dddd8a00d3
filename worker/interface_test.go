package worker

import (
	"strings"
	"testing"
	"time"

	"joolctl/nsthread/nstest"
)

// TestLinkTrouble sets the link of a running worker down, at either end. The worker continues, and shows and logs the trouble.
func TestLinkTrouble(t *testing.T) {
	a, b := hosts(t)
	h := newHost(t, jool4115, specFor(a, group6)).start()
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
		{a, "link set sync down", `interface "sync" is down in namespace "` + a + `"; type: ip netns exec ` + a + " ip link set sync up", "link set sync up"},
		{b, "link set sync down", `interface "sync" has no carrier in namespace "` + a + `"; check its cable`, "link set sync up"},
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
	nstest.IP(t, a, "link add other type veth peer name other2", "link set sync down")
	h.stop()
	h.init(specFor(a, group6))
	h.start()
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
