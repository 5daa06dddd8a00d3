package supervisor_test

import (
	"context"
	"fmt"
	"net/url"

	"joolctl/supervisor"
)

// A client prints the state of each pair.
func ExampleClient() {
	status, err := supervisor.Client{Socket: "/run/joolctl/joolctl.sock"}.Status(context.Background(), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, row := range status.Workers {
		fmt.Println(row.Name, row.State, row.Reason)
	}
}

// The query of /readyz has the options of `joolctl ready`.
func ExampleParseReadyOptions() {
	o, err := supervisor.ParseReadyOptions(url.Values{"patience": {"5m"}, "allow-alone": {"true"}})
	fmt.Println(o.Patience, o.AllowAlone, err)
	// Output: 5m0s true <nil>
}
