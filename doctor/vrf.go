package doctor

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// acceptVRFs is the setting that lets a socket receive datagrams that arrive in a VRF. It is that of IPv4 and of IPv6.
const acceptVRFs = "net.ipv4.udp_l3mdev_accept"

func checkVRF(_ context.Context, s *subject) []Finding {
	in, err := s.inInterface()
	if err != nil || in == nil {
		return nil // checkInterfaces says why
	}
	vrf, accepts, err := s.vrfOf(in.Index)
	switch {
	case err != nil:
		return warn("the VRFs are unknown: "+err.Error(), "")
	case vrf == "":
		return ok(in.Name + " belongs to no VRF")
	case !accepts:
		return fail(fmt.Sprintf("%s belongs to the VRF %s, and %s is 0, so that the worker receives nothing", in.Name, vrf, acceptVRFs), s.inside("sysctl "+acceptVRFs+"=1"))
	}
	return ok(fmt.Sprintf("%s belongs to the VRF %s, and %s is 1", in.Name, vrf, acceptVRFs))
}

// vrfOf returns the name of the VRF that an interface belongs to, and whether sockets outside of it receive its datagrams.
func (s *subject) vrfOf(index int) (name string, accepts bool, err error) {
	links, err := s.links()
	if err != nil {
		return "", false, err
	}
	master := links[links[index].master]
	if master.kind != "vrf" {
		return "", false, nil
	}
	err = s.inNetwork(func() error {
		value, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(acceptVRFs, ".", "/"))
		accepts = strings.TrimSpace(string(value)) == "1"
		return err
	})
	return master.name, accepts, err
}
