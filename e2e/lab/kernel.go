package lab

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// guestModules are the kernel modules that the guest has besides those that Jool needs. The kernel loads them by itself when
// they are asked for (ip link add type veth).
var guestModules = []string{
	"virtio_pci", "virtio_console", "virtio_net",
	"nf_defrag_ipv4", "nf_defrag_ipv6", "nf_conntrack", "x_tables",
	"veth", "dummy", "nlmon", "tun", "bridge", "macvlan", "ipvlan", "vrf", "sch_netem",
	"af_packet_diag", "netlink_diag", "inet_diag", "udp_diag", "tcp_diag", "unix_diag",
}

// prepareKernel downloads the kernel and keeps its image and its modules in kernel/.
func (l *Lab) prepareKernel(ctx context.Context, log Logf, release string) error {
	if exists(l.path("kernel")) {
		return nil
	}
	log("downloading Linux %s", release)
	tmp := l.path("tmp", "kernel")
	root, err := unpack(ctx, nil, tmp, "linux-image-"+release)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	out := filepath.Join(tmp, "out")
	if err := os.MkdirAll(filepath.Join(out, "lib", "modules"), 0o755); err != nil {
		return err
	}
	if err := os.Rename(filepath.Join(root, "boot", "vmlinuz-"+release), filepath.Join(out, "vmlinuz")); err != nil {
		return err
	}
	modules := filepath.Join(root, "lib", "modules", release)
	if !exists(modules) { // suites since trixie
		modules = filepath.Join(root, "usr", "lib", "modules", release)
	}
	if err := os.Rename(modules, filepath.Join(out, "lib", "modules", release)); err != nil {
		return err
	}
	if _, err := run(ctx, tmp, "depmod", "-b", out, release); err != nil {
		return err
	}
	if err := writeWhole(filepath.Join(out, "release"), release+"\n"); err != nil {
		return err
	}
	return replaceDir(out, l.path("kernel"))
}

// collectModules copies the modules and all that they depend on into the tree out/lib/modules, uncompressed, with
// the indexes by which modprobe finds them.
func (l *Lab) collectModules(ctx context.Context, out, release string, modules []string) error {
	kernel := l.path("kernel")
	to := filepath.Join(out, "lib", "modules", release)
	for _, m := range modules {
		list, err := run(ctx, "", "modprobe", "-d", kernel, "-S", release, "--show-depends", m)
		if err != nil {
			continue // this kernel has no such module
		}
		for line := range strings.Lines(list) {
			f := strings.Fields(line)
			if len(f) < 2 || f[0] != "insmod" {
				continue
			}
			rel, err := filepath.Rel(filepath.Join(kernel, "lib", "modules", release), f[1])
			if err != nil {
				return err
			}
			if err := copyModule(ctx, filepath.Join(to, rel), f[1]); err != nil {
				return err
			}
		}
	}
	for _, index := range []string{"modules.order", "modules.builtin", "modules.builtin.modinfo"} {
		if err := copyFile(filepath.Join(to, index), filepath.Join(kernel, "lib", "modules", release, index)); err != nil {
			return err
		}
	}
	_, err := run(ctx, "", "depmod", "-b", out, release)
	return err
}

func copyModule(ctx context.Context, to, from string) error {
	plain := strings.TrimSuffix(to, ".xz")
	if exists(plain) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	if err := copyFile(to, from); err != nil || plain == to {
		return err
	}
	_, err := run(ctx, "", "xz", "-d", to)
	return err
}
