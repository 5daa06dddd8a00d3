package joolnl_test

import (
	"testing"

	"github.com/mdlayher/genetlink"
	"golang.org/x/sys/unix"

	"joolctl/joolnl"
	"joolctl/nsthread/nstest"
	"joolctl/packetio"
	"joolctl/worker/workertest"
)

// genericSocket opens a Generic Netlink socket.
func genericSocket(t *testing.T) int {
	t.Helper()
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_GENERIC)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		t.Fatal(err)
	}
	return fd
}

// TestAdopt makes a Conn adopt a socket with waiting messages. Receive returns these messages, the socket is a
// member of the group, and its filter accepts the messages of one instance only.
func TestAdopt(t *testing.T) {
	nstest.NeedRoot(t, "messages from one netlink socket to another")
	controller, err := genetlink.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer controller.Close()
	family, err := controller.GetFamily("nlctrl")
	if err != nil || len(family.Groups) == 0 {
		t.Fatal(family, err)
	}
	const version joolnl.Version = 0x04010f00
	c := joolnl.NewConn(joolnl.Requests{Family: workertest.Family, Version: version, Instance: "nat"}, genericSocket(t), genericSocket(t))
	c.Group = family.Groups[0].ID
	defer c.Close()
	left, module := genericSocket(t), genericSocket(t)
	defer unix.Close(module)
	name, err := unix.Getsockname(left)
	if err != nil {
		t.Fatal(err)
	}
	say := func(instance, sessions string) {
		t.Helper()
		if err := unix.Sendto(module, workertest.Multicast(version, instance, []byte(sessions)), 0, name); err != nil {
			t.Fatal(err)
		}
	}
	say("nat", "1111")
	before := c.Receiver()
	if err := c.Adopt(left); err != nil {
		t.Fatal(err)
	}
	if _, err := unix.FcntlInt(uintptr(before), unix.F_GETFD, 0); err != unix.EBADF {
		t.Errorf("the socket that it had before: %v", err)
	}
	say("natty", "2222")
	say("nat", "3333")
	r := packetio.NewReceiver(3, 1024)
	if n, err := c.Receive(r); n != 2 || err != nil {
		t.Fatalf("%d wait, %v, want 2", n, err)
	}
	for i, want := range []string{"1111", "3333"} {
		entries, _, err := c.Multicast(r.Datagram(i).Data)
		if err != nil || string(entries) != want {
			t.Errorf("heard %q, %v, want %q", entries, err, want)
		}
	}
	if _, err := c.Receive(r); err != unix.EAGAIN {
		t.Errorf("at the end: %v", err)
	}
	groups, err := unix.GetsockoptInt(c.Receiver(), unix.SOL_NETLINK, unix.NETLINK_LIST_MEMBERSHIPS)
	if err != nil || groups&(1<<(c.Group-1)) == 0 {
		t.Errorf("member of %b, %v, want group %d", groups, err, c.Group)
	}
}

// TestAdoptOther checks that Adopt refuses a socket that is not a netlink socket, and that the Conn keeps its
// own.
func TestAdoptOther(t *testing.T) {
	c := joolnl.NewConn(joolnl.Requests{Family: workertest.Family, Instance: "nat"}, genericSocket(t), genericSocket(t))
	c.Group = 1
	defer c.Close()
	other, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(other)
	before := c.Receiver()
	if err := c.Adopt(other); err == nil || c.Receiver() != before {
		t.Errorf("adopted a UDP socket (%v)", err)
	}
}
