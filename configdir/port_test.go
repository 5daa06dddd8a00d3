package configdir

import "testing"

func TestParsePort(t *testing.T) {
	for _, c := range []struct {
		text string
		want uint16
	}{
		{"1", 1}, {"65535", 65535}, {"06464", 6464}, {"ntp", 123}, {"domain", 53},
		{"", 0}, {"0", 0}, {"65536", 0}, {"-1", 0}, {"+1", 0}, {"1 ", 0}, {"0x10", 0}, {"no-such-service", 0}, {"+", 0},
	} {
		got, err := ParsePort(c.text)
		if got != c.want || (err == nil) != (c.want != 0) {
			t.Errorf("ParsePort(%q) = %d, %v", c.text, got, err)
		}
	}
	_, err := ParsePort("no-such-service")
	want := `"no-such-service" is neither a port number nor a UDP service in /etc/services; ` +
		`write a number from 1 to 65535 or the name of a UDP service`
	if err == nil || err.Error() != want {
		t.Errorf("error: %v", err)
	}
}
