package syncwire

import "testing"

// TestTestDatagram checks that IsTest recognises a test datagram and no other one, and that Parse refuses it.
func TestTestDatagram(t *testing.T) {
	b := AppendTest(nil)
	if !IsTest(b) {
		t.Errorf("%x is no test datagram", b)
	}
	if m, err := Parse(b); err == nil {
		t.Errorf("it is a message: %+v", m)
	}
	for _, other := range [][]byte{nil, b[:len(b)-1], append(AppendTest(nil), 0), Message{Sender: 1, Body: &Solicit{To: 2}}.Append(nil), Trailer{Sender: 1, Seq: 1}.Append(nil)} {
		if IsTest(other) {
			t.Errorf("%x is a test datagram", other)
		}
	}
}
