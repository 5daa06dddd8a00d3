package main

import (
	"bytes"
	"errors"
	"testing"

	"joolctl/doctor"
)

func TestDoctorText(t *testing.T) {
	report := doctor.Report{Findings: []doctor.Finding{
		{Check: "module", Level: doctor.OK, Observed: "Jool 4.1.15 is loaded"},
		{Check: "clock", Level: doctor.Warn, Observed: "the clock is not synchronised", Remedy: "type: timedatectl set-ntp true"},
		{Check: "interface", Pair: "blue", Level: doctor.Fail, Observed: "eth1 is down", Remedy: "type: ip link set eth1 up"},
	}}
	const faults = `warn  clock           the clock is not synchronised
                      type: timedatectl set-ntp true
FAIL  blue interface  eth1 is down
                      type: ip link set eth1 up

1 ok, 1 warn, 1 FAIL
`
	for quiet, want := range map[bool]string{
		false: "ok    module          Jool 4.1.15 is loaded\n" + faults,
		true:  faults,
	} {
		var stdout bytes.Buffer
		p := &program{stdout: &stdout}
		if err := p.printReport(report, &output{name: "text"}, quiet); !errors.Is(err, errNotWell) {
			t.Errorf("quiet %v: %v", quiet, err)
		}
		if got := stdout.String(); got != want {
			t.Errorf("quiet %v: got\n%swant\n%s", quiet, got, want)
		}
	}
}
