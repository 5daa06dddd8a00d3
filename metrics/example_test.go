package metrics_test

import (
	"bytes"
	"fmt"
	"strings"

	"joolctl/metrics"
	"joolctl/supervisor"
)

// The scraper's Accept header selects the format.
func ExampleEncode() {
	var out bytes.Buffer
	format := metrics.Negotiate("application/openmetrics-text; version=1.0.0")
	if err := metrics.Encode(&out, format, &supervisor.Snapshot{}, metrics.Build{Version: "v0.1.0"}); err != nil {
		panic(err)
	}
	for line := range strings.Lines(out.String()) {
		if strings.HasPrefix(line, "joolctl_build_info") || strings.HasPrefix(line, "# EOF") {
			fmt.Print(line)
		}
	}
	// Output:
	// joolctl_build_info{version="v0.1.0",commit="",goversion=""} 1
	// # EOF
}
