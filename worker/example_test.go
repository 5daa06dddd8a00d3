package worker_test

import (
	"fmt"

	"joolctl/worker"
)

// A worker whose instance does not exist returns this error. The supervisor shows it in `joolctl status`.
func ExampleMissing() {
	err := &worker.Missing{What: `instance "nat" does not exist in namespace "blue"`, Fix: "ip netns exec blue jool instance add nat --netfilter --pool6 64:ff9b::/96"}
	fmt.Println(err)
	// Output: instance "nat" does not exist in namespace "blue"; type: ip netns exec blue jool instance add nat --netfilter --pool6 64:ff9b::/96
}
