package packetio_test

import (
	"fmt"
	"net"

	"joolctl/packetio"
)

// Two datagrams leave in one system call, and arrive in one.
func ExampleBatch() {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		panic(err)
	}
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		panic(err)
	}
	sender := packetio.NewSender(conn.LocalAddr().(*net.UDPAddr).AddrPort(), 0)
	batch := packetio.NewBatch(16, 1500)
	batch.Add([]byte("one"), packetio.All)
	batch.Add([]byte("two"), packetio.All)
	receiver := packetio.NewReceiver(16, 1500)
	_ = raw.Control(func(fd uintptr) {
		sender.SendBatch(int(fd), batch, func(_, _ int, err error) { fmt.Println("not sent:", err) })
		n, err := receiver.Receive(int(fd))
		for i := range n {
			fmt.Printf("%s\n", receiver.Datagram(i).Data)
		}
		if err != nil {
			fmt.Println(err)
		}
	})
	// Output:
	// one
	// two
}
