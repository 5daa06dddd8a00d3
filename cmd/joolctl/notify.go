package main

import "net"

// notify sends systemd a message, as sd_notify(3) does; without a socket there
// is nobody to tell.
func notify(socket, message string) error {
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
