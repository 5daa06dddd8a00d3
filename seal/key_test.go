package seal

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
)

// keyOf returns a key whose bytes are all the same.
func keyOf(id, b uint8) Key {
	keys, err := ParseKeys(fmt.Appendf(nil, "%d:%s", id, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{b}, KeyLen))))
	if err != nil {
		panic(err)
	}
	return keys.First()
}

const someKey = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="

func TestParseKeys(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"1:" + someKey, "key 1"},
		{"1:" + someKey + "\n", "key 1"},
		{"# two keys\n\n  7:" + someKey + "  # the new one\r\n255:" + someKey + "\n", "key 7, key 255"},
		{"0:" + someKey, "key 0"},
		{"", "1:1: there is no key; write one with: joolctl genkey"},
		{"# 1:" + someKey, "1:1: there is no key; write one with: joolctl genkey"},
		{"\n  hello", "2:3: there is no colon behind the key's ID" + wanted},
		{"256:" + someKey, "1:1: the key's ID is not a number from 0 to 255" + wanted},
		{"-1:" + someKey, "1:1: the key's ID is not a number from 0 to 255" + wanted},
		{":" + someKey, "1:1: the key's ID is not a number from 0 to 255" + wanted},
		{"12:AAEC!", "1:4: the key is not Base64" + wanted},
		{"12: " + someKey, "1:4: the key is not Base64" + wanted},
		{"12:" + strings.TrimRight(someKey, "="), "1:4: the key is not Base64" + wanted},
		{"12:" + someKey[:42] + "9=", "1:4: the key is not Base64" + wanted},
		{"12:AAECAw==", "1:4: the key has 4 bytes and needs 32" + wanted},
		{"1:" + someKey + "\n\t1:" + someKey, "2:2: two keys have the ID 1; give each key another ID"},
		{strings.Repeat("#\n", 3) + "1:" + someKey + "\n2:" + someKey + "\n3:" + someKey + "\n4:" + someKey + "\n5:" + someKey,
			"8:1: there are more than 4 keys; remove the oldest"},
	} {
		keys, err := ParseKeys([]byte(c.text))
		got := keys.String()
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%q:\n got %s\nwant %s", c.text, got, c.want)
		}
	}
}

func TestNewKey(t *testing.T) {
	a, b := NewKey(3), NewKey(3)
	if a == b {
		t.Error("two new keys are equal")
	}
	keys, err := ParseKeys([]byte(a.Line()))
	if err != nil || keys != NewKeys(a) {
		t.Errorf("%v is read as %v, %v", a, keys, err)
	}
	one, same := keyOf(1, 1), keyOf(1, 1)
	if keys == NewKeys(b) || keys.Equal(NewKeys(b)) || a.Equal(b) || one != same {
		t.Error("keys with other secrets are equal, or equal keys are not")
	}
}

// TestNothingPrintsSecrets prints keys and a Channel that has sent and received datagrams in each way that might show a secret.
func TestNothingPrintsSecrets(t *testing.T) {
	now := time.Unix(0, 0)
	key := keyOf(5, 0xa7)
	a, b := NewChannel(NewKeys(key), testContext, now), NewChannel(NewKeys(key), testContext, now)
	linkUp(t, now, a, b)
	type inside struct {
		key      Key
		keys     Keys
		Exported Key
		List     []Key
		Map      map[Key]Keys
	}
	nested := inside{key, NewKeys(key), key, []Key{key}, map[Key]Keys{key: NewKeys(key)}}
	secret := bytes.Repeat([]byte{0xa7}, KeyLen)
	hidden := []string{string(secret), hex.EncodeToString(secret[:4]), strings.ToUpper(hex.EncodeToString(secret[:4])), "167 167", "0xa7, 0xa7", "0xa7 0xa7",
		base64.StdEncoding.EncodeToString(secret)[:10], "10100111 10100111", "167,167"}
	for i, v := range []any{key, &key, NewKeys(key), nested, &nested, a, *a, struct{ channel *Channel }{a}, *a.derive[0], a.peers} {
		texts := []string{}
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o"} {
			texts = append(texts, fmt.Sprintf(format, v))
		}
		if text, err := json.Marshal(v); err == nil {
			texts = append(texts, string(text))
		}
		for _, text := range texts {
			for _, h := range hidden {
				if strings.Contains(text, h) {
					t.Errorf("value %d (%T) is printed with its secret: %s", i, v, text)
				}
			}
		}
	}
}

func FuzzParseKeys(f *testing.F) {
	for _, s := range []string{"1:" + someKey, "# x\n255:" + someKey + "\n0:" + someKey + " # y", "1:", ":", "1:" + someKey + "\n1:" + someKey, "\x00\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := ParseKeys(text)
		if err != nil {
			e := err.(*LineError)
			lines := strings.Split(string(text), "\n")
			if e.Line < 1 || e.Line > len(lines) || e.Column < 1 || e.Column > len(lines[e.Line-1])+1 || !strings.Contains(e.Text, "; ") {
				t.Errorf("%q: %v", text, err)
			}
			return
		}
		var again []string
		for key := range keys.All() {
			again = append(again, key.Line())
		}
		if same, err := ParseKeys([]byte(strings.Join(again, "\n"))); err != nil || same != keys || keys.Len() < 1 {
			t.Errorf("%q: read as %v, then as %v, %v", text, keys, same, err)
		}
	})
}
