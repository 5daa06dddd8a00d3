package e2e

import "testing"

// TestGuestTests: each test of package guest has a machine that it can be run in.
func TestGuestTests(t *testing.T) {
	tests, err := GuestTests("guest")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"TestFailover": "test", "TestVersionsActive": "versions active", "TestLeaks": ""} {
		if purpose, ok := tests[name]; !ok || purpose != want {
			t.Errorf("%s is for %q, want %q", name, purpose, want)
		}
	}
	for name, purpose := range tests {
		if _, ok := purposes[purpose]; !ok && purpose != "" {
			t.Errorf("%s is for %q, and no machine is", name, purpose)
		}
	}
}

func TestPurposeOf(t *testing.T) {
	tests := map[string]string{"TestHeal": "heal", "TestRestart": "heal", "TestFailover": "test", "TestLeaks": "", "TestVersionsActive": "versions active"}
	for _, c := range []struct{ name, purpose, err string }{
		{"TestHeal", "heal", ""},
		{"Test", "", "the guest has no test Test; its tests are TestFailover, TestHeal, TestRestart, TestVersionsActive"},
		{"", "", "no test was named; the guest's tests are TestFailover, TestHeal, TestRestart, TestVersionsActive"},
		{"TestLeaks", "", "TestLeaks needs no virtual machine; run it with: go test -run '^TestLeaks$' ./e2e/guest"},
		{"TestVersionsActive", "", "TestVersionsActive needs two virtual machines; run it with: go test -count=1 -v -run '^TestVersions$' ./e2e"},
	} {
		purpose, err := PurposeOf(tests, c.name)
		text := ""
		if err != nil {
			text = err.Error()
		}
		if purpose != c.purpose || text != c.err {
			t.Errorf("%s: %q and error %q, want %q and %q", c.name, purpose, text, c.purpose, c.err)
		}
	}
}
