package doctor_test

import (
	"context"
	"errors"
	"fmt"

	"joolctl/doctor"
	"joolctl/supervisor"
)

// The findings of a host without a supervisor. They depend on the host, so the example has no output, and go test does not run it.
func ExampleRun() {
	report := doctor.Run(context.Background(), doctor.Options{
		Dir:    "/etc/joold.d",
		Status: func(context.Context) (supervisor.Status, error) { return supervisor.Status{}, errors.New("not asked") },
	})
	for _, f := range report.Findings {
		if f.Level != doctor.OK {
			fmt.Println(f.Check, f.Observed, f.Remedy)
		}
	}
}
