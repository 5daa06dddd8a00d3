package joolnl

import (
	"testing"

	"joolctl/session"
)

func TestVersion(t *testing.T) {
	for _, tt := range []struct {
		in        string
		want      Version
		out       string
		supported bool
		advertise bool
		format    session.Format
	}{
		{"4.1.0.0\n", 0x04010000, "4.1.0", true, false, session.Nested},
		{"4.1", 0x04010000, "4.1.0", true, false, session.Nested},
		{"4.1.9.0", 0x04010900, "4.1.9", true, false, session.Nested},
		{"4.1.10.0", 0x04010a00, "4.1.10", true, false, session.Nested},
		{"4.1.11.0", 0x04010b00, "4.1.11", true, true, session.Nested},
		{"4.1.12.0", 0x04010c00, "4.1.12", true, true, session.Packed52},
		{"4.1.13.0", 0x04010d00, "4.1.13", true, true, session.Packed40},
		{"4.1.15", 0x04010f00, "4.1.15", true, true, session.Packed40},
		{"4.1.15.3", 0x04010f03, "4.1.15.3", true, true, session.Packed40},
		{"4.1.255.2", 0x0401ff02, "4.1.255.2", true, false, session.Nested},
		{"4.1.255.3", 0x0401ff03, "4.1.255.3", true, false, session.Nested},
		{"4.1.255.5", 0x0401ff05, "4.1.255.5", true, true, session.Packed40},
		{"4.2.0.0", 0x04020000, "4.2.0", true, true, session.Packed40},
		{"4.0.9.0", 0x04000900, "4.0.9", false, false, session.Nested},
		{"3.5.7.0", 0x03050700, "3.5.7", false, false, session.Nested},
		{"5.0.0.0", 0x05000000, "5.0.0", false, true, session.Packed40},
	} {
		got, err := ParseVersion(tt.in)
		if err != nil || got != tt.want || got.String() != tt.out {
			t.Errorf("ParseVersion(%q) = %#x (%v), %v; want %#x (%s)", tt.in, uint32(got), got, err, uint32(tt.want), tt.out)
			continue
		}
		if err := got.Supported(); (err == nil) != tt.supported {
			t.Errorf("%v: Supported = %v", got, err)
		}
		if !tt.supported {
			continue
		}
		if got.HasAdvertise() != tt.advertise || got.Format() != tt.format {
			t.Errorf("%v: advertise %v, format %v; want %v, %v", got, got.HasAdvertise(), got.Format(), tt.advertise, tt.format)
		}
	}
}

func TestFlushesASAP(t *testing.T) {
	for v, want := range map[Version]bool{
		0x04010000: true, 0x04010900: true, 0x04010c00: true, 0x04010d00: false, 0x04010f00: false, 0x0401ff02: true, 0x0401ff05: false,
	} {
		if v.FlushesASAP() != want {
			t.Errorf("%v: %v", v, !want)
		}
	}
}

func TestParseVersionRefuses(t *testing.T) {
	for _, s := range []string{"", "4", "4.", "4.1.", "4.1.256", "4.1.-1", "4.1.+1", "4.1.0x1", "4.1.15.0.1", "v4.1.15", "4.1.15-rc1", "4..1"} {
		if v, err := ParseVersion(s); err == nil {
			t.Errorf("ParseVersion(%q) = %v", s, v)
		}
	}
}

func TestStat(t *testing.T) {
	for _, tt := range []struct {
		version Version
		id      int
		want    string
	}{
		{0x04010000, 1, "JSTAT_RECEIVED6"},
		{0x04010000, 5, "JSTAT_SESSIONS"},
		{0x04010000, 0, ""},
		{0x04010000, 6, ""},
		{0x04010b00, 69, ""},
		{0x04010c00, 68, ""},
		{0x04010c00, 69, "JSTAT_JOOLD_EMPTY"},
		{0x04010c00, 72, "JSTAT_JOOLD_AD_ONGOING"},
		{0x04010c00, 73, "JSTAT_JOOLD_FLUSH_ASAP"},
		{0x04010c00, 74, "JSTAT_JOOLD_PKT_FULL"},
		{0x04010c00, 77, "JSTAT_JOOLD_SSS_SENT"},
		{0x04010c00, 83, "JSTAT_JOOLD_ACKS"},
		{0x04010c00, 84, ""},
		{0x04010d00, 69, "JSTAT_JOOLD_EMPTY"},
		{0x04010d00, 73, "JSTAT_JOOLD_PKT_FULL"},
		{0x04010d00, 76, StatSessionsSent.String()},
		{0x04010d00, 77, StatSessionsRcvd.String()},
		{0x04010d00, 78, StatSessionsDropped.String()},
		{0x04010d00, 80, StatPacketsRcvd.String()},
		{0x04010d00, 82, "JSTAT_JOOLD_ACKS"},
		{0x04010d00, 83, ""},
		{0x0401ff02, 78, ""},
		{0x0401ff03, 78, ""},
		{0x0401ff03, 5, StatSessions.String()},
		{0x0401ff05, 69, ""},
		{0x0401ff05, 77, ""},
		{0x0401ff05, 78, "JSTAT_JOOLD_EMPTY"},
		{0x0401ff05, 86, StatSessionsRcvd.String()},
		{0x0401ff05, 91, "JSTAT_JOOLD_ACKS"},
		{0x0401ff05, 92, ""},
		{0x04020000, 78, "JSTAT_JOOLD_EMPTY"},
	} {
		got, ok := tt.version.Stat(tt.id)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("Jool %v: counter %d is %q, %v; want %q", tt.version, tt.id, got, ok, tt.want)
		}
	}
}
