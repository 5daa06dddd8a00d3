package nsthread_test

import (
	"fmt"

	"joolctl/nsthread"
)

// A function runs on the thread of a namespace, here the program's own.
func ExamplePool() {
	pool := nsthread.NewPool()
	thread, err := pool.Get("/proc/self/ns/net")
	if err != nil {
		panic(err)
	}
	defer thread.Release()
	err = thread.Do(func() { fmt.Println("inside") })
	fmt.Println(err)
	// Output:
	// inside
	// <nil>
}
