package guest

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// J in a machine of its own: its three links are cables to the machine that has everything else.
const (
	cable6    = "eth0" // to n6
	cable4    = "eth1" // to n4
	cableSync = "eth2" // to K
)

// LiveCables is how many cables there are.
const LiveCables = 3

// useCables makes the cables J's links, in place of those in this machine.
func (top *topology) useCables(t testing.TB) {
	t.Helper()
	run(t, "modprobe", "virtio_net")
	top.j.ip(t, "link del e6\nlink del e4\nlink del "+syncLink)
	ip(t, fmt.Sprintf(`
link set %[1]s netns %[4]s name e6 address %[5]s
link set %[2]s netns %[4]s name e4 address %[6]s
link set %[3]s netns %[4]s name %[7]s
`, cable6, cable4, cableSync, top.j.name, mac6, mac4, syncLink))
	top.addAddresses(t, top.j, syncJ, syncJ6, "up")
}

// joinCables puts the cables in the place of this machine's J.
func (top *topology) joinCables(t testing.TB) {
	t.Helper()
	run(t, "modprobe", "virtio_net")
	top.j.ip(t, "link del e6\nlink del e4")
	ip(t, fmt.Sprintf(`
link set %[1]s netns %[4]s
link set %[2]s netns %[4]s
link set %[3]s netns %[4]s
`, cable6, cable4, cableSync, top.sw.name))
	// K's end of the sync link has to stay up when the cable is cut.
	top.j.ip(t, fmt.Sprintf("link set %s netns %s name ksync", syncLink, top.sw.name))
	top.sw.ip(t, fmt.Sprintf(`
link add brs type bridge mcast_snooping 0
link set ksync master brs up
link set %s master br6 up
link set %s master br4 up
link set %s master brs up
link set brs up
`, cable6, cable4, cableSync))
}

// cut cuts all cables, the one to K first, and returns the moment before: from then on J has crashed.
func (top *topology) cut(t testing.TB) (at time.Time) {
	t.Helper()
	top.sw.do(t, func() error {
		at = time.Now()
		return setLinks(false, cableSync, cable6, cable4)
	})
	return at
}

// takeOver brings K's links up.
func (top *topology) takeOver(t testing.TB) {
	t.Helper()
	top.k.do(t, func() error { return setLinks(true, "e6", "e4") })
}

// mend gives J its place back.
func (top *topology) mend(t testing.TB) {
	t.Helper()
	// An IPv6 address goes when its link goes down.
	top.k.ip(t, fmt.Sprintf("link set e6 down\nlink set e4 down\naddress replace %s/96 dev e6 nodad", gateway6))
	top.sw.do(t, func() error { return setLinks(true, cable6, cable4, cableSync) })
}

// setLinks brings links of the calling thread's namespace up or down, at once: ip would take as long as some
// connections are old.
func setLinks(up bool, names ...string) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	requests := make([]*unix.Ifreq, len(names))
	for i, name := range names {
		if requests[i], err = unix.NewIfreq(name); err != nil {
			return err
		}
		if err := unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, requests[i]); err != nil {
			return fmt.Errorf("link %s: %w", name, err)
		}
		flags := requests[i].Uint16() &^ unix.IFF_UP
		if up {
			flags |= unix.IFF_UP
		}
		requests[i].SetUint16(flags)
	}
	for i, r := range requests {
		if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r); err != nil {
			return fmt.Errorf("link %s: %w", names[i], err)
		}
	}
	return nil
}
