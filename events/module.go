package events

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// jool is the name of the module's Generic Netlink family.
	jool = "Jool"
	// moduleRetry is the time between a failure and the next attempt to listen.
	moduleRetry = 5 * time.Second
)

// watchModule calls changed when Jool's Generic Netlink family is registered or unregistered. The kernel
// announces this in every namespace, so one socket is enough.
func watchModule(ctx context.Context, log *slog.Logger, changed func()) {
	told := ""
	for {
		err := listenForFamily(ctx, changed)
		if ctx.Err() != nil {
			return
		}
		if text := err.Error(); text != told {
			told = text
			log.Warn("a module that is loaded or unloaded is noticed late", "error", err)
		}
		pause(ctx, moduleRetry)
		changed() // for changes while no socket listened
	}
}

func listenForFamily(ctx context.Context, changed func()) error {
	c, err := genetlink.Dial(nil)
	if err != nil {
		return fmt.Errorf("generic netlink: %w", err)
	}
	defer c.Close()
	controller, err := c.GetFamily("nlctrl")
	if err != nil {
		return fmt.Errorf("generic netlink: %w", err)
	}
	for _, group := range controller.Groups {
		if group.Name != "notify" {
			continue
		}
		if err := c.JoinGroup(group.ID); err != nil {
			return fmt.Errorf("generic netlink: %w", err)
		}
	}
	unblock := context.AfterFunc(ctx, func() { _ = c.SetReadDeadline(time.Unix(1, 0)) }) // makes Receive return
	defer unblock()
	for {
		messages, _, err := c.Receive()
		if err != nil && ctx.Err() == nil {
			return fmt.Errorf("generic netlink: %w", err)
		}
		if ctx.Err() != nil {
			return nil
		}
		for _, m := range messages {
			if isJools(m) {
				changed()
			}
		}
	}
}

// isJools reports whether a message from the generic netlink controller concerns Jool's family.
func isJools(m genetlink.Message) bool {
	d, err := netlink.NewAttributeDecoder(m.Data)
	if err != nil {
		return false
	}
	for d.Next() {
		if d.Type() == unix.CTRL_ATTR_FAMILY_NAME {
			return d.String() == jool
		}
	}
	return false
}
