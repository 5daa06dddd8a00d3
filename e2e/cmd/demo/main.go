// Command demo shows a failover in a virtual machine: two NAT64s with the real Jool module, synchronised by joolctl.
// The active one dies, and its connections continue through the other one.
//
//	go run ./e2e/cmd/demo
//
// The first run prepares the lab, which takes some minutes, root and a network.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/lab"
)

func main() { e2e.Main("demo", demo) }

func demo(ctx context.Context, l *lab.Lab, programs e2e.Programs) error {
	log.Printf("booting a virtual machine with Jool %s", l.Newest())
	_, err := programs.Run(ctx, l, e2e.Guest{
		Jool:    l.Newest(),
		Purpose: "demo",
		Args:    []string{"-test.run=^TestDemo$"},
		Timeout: time.Minute,
		Stdout:  os.Stdout,
	})
	if err != nil {
		return fmt.Errorf("the demo failed: %w", err)
	}
	return nil
}
