// Package servicemanager reports the state of a service to systemd, as sd_notify(3) and sd_watchdog_enabled(3) describe.
package servicemanager

import (
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"
)

// Notify sends a message. Without systemd it does nothing.
func Notify(message string) error {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return nil
	}
	conn, err := net.Dial("unixgram", socket)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(message))
	return err
}

// Tell sends a message, and logs an error.
func Tell(log *slog.Logger, message string) {
	if err := Notify(message); err != nil {
		log.Warn("systemd could not be told", "error", err)
	}
}

// Watchdog returns the interval within which systemd expects WATCHDOG=1 from this process; 0: systemd does not watch it.
func Watchdog() time.Duration {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(1<<62/time.Microsecond) {
		return 0
	}
	return time.Duration(usec) * time.Microsecond
}
