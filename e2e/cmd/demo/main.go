// Command demo shows the main job in a virtual machine: two NAT64s with the real Jool
// module, kept in step by joolctl; the active one dies, and its connections go on
// through the other.
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
	"os/signal"
	"syscall"
	"time"

	"joolctl/e2e"
	"joolctl/e2e/lab"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("demo: ")
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx); err != nil {
		log.Fatal(err)
	}
}

func demo(ctx context.Context) error {
	l, err := lab.Prepare(ctx, log.Printf)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "joolctl-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	log.Print("building joolctl")
	programs, err := e2e.Build(ctx, dir)
	if err != nil {
		return err
	}
	log.Printf("booting a virtual machine with Jool %s", l.Newest())
	_, err = programs.Run(ctx, l, e2e.Guest{
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
