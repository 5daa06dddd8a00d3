package seal

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"unique"
)

const (
	// KeyLen is the length of a shared key, in bytes.
	KeyLen = 32
	// MaxKeys is how many keys a file has at most.
	MaxKeys = 4
)

// Key is a key that all hosts of a group share. Two keys are == if they have the same ID and the same secret.
type Key struct {
	// ID names the key in datagrams.
	ID     uint8
	secret secret
}

// secret refers to the bytes of a key in two steps: fmt follows one pointer even in fields where it calls no String method. Two secrets
// are == if their bytes are equal.
type secret unique.Handle[unique.Handle[[KeyLen]byte]]

func newSecret(b [KeyLen]byte) secret { return secret(unique.Make(unique.Make(b))) }

func (s secret) bytes() [KeyLen]byte {
	return unique.Handle[unique.Handle[[KeyLen]byte]](s).Value().Value()
}

// String names the key. It does not contain the secret.
func (k Key) String() string { return "key " + strconv.Itoa(int(k.ID)) }

// GoString is String, so that no format prints the secret.
func (k Key) GoString() string { return k.String() }

// Equal is ==, for cmp.
func (k Key) Equal(other Key) bool { return k == other }

// NewKey returns a random key.
func NewKey(id uint8) Key {
	var b [KeyLen]byte
	_, _ = rand.Read(b[:]) // never fails
	return Key{id, newSecret(b)}
}

// Line is the key as a line of a key file. It contains the secret.
func (k Key) Line() string {
	b := k.secret.bytes()
	return fmt.Sprintf("%d:%s", k.ID, base64.StdEncoding.EncodeToString(b[:]))
}

// Keys are the keys of a file, in its order: the first one encrypts, all decrypt. Two Keys are == if the files mean the same.
type Keys struct {
	list [MaxKeys]Key
	n    int
}

// NewKeys returns Keys. There must be at most MaxKeys, each with another ID.
func NewKeys(keys ...Key) (k Keys) {
	k.n = copy(k.list[:], keys)
	return k
}

// Len returns how many keys there are.
func (k Keys) Len() int { return k.n }

// All returns the keys in their order.
func (k Keys) All() iter.Seq[Key] { return slices.Values(k.list[:k.n]) }

// With returns the key with an ID.
func (k Keys) With(id uint8) (Key, bool) {
	for key := range k.All() {
		if key.ID == id {
			return key, true
		}
	}
	return Key{}, false
}

// First returns the key that encrypts. There must be one.
func (k Keys) First() Key { return k.list[0] }

// String names the keys. It does not contain their secrets.
func (k Keys) String() string {
	names := make([]string, 0, k.n)
	for key := range k.All() {
		names = append(names, key.String())
	}
	return strings.Join(names, ", ")
}

// GoString is String, so that no format prints the secrets.
func (k Keys) GoString() string { return k.String() }

// Equal is ==, for cmp.
func (k Keys) Equal(other Keys) bool { return k == other }

// LineError is a mistake in a key file. Its text contains no secret.
type LineError struct {
	// Line and Column count from 1, columns in bytes.
	Line, Column int
	// Text says what is wrong and, behind a semicolon, what to do.
	Text string
}

func (e *LineError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text) }

// ParseKeys reads a key file: lines ID:BASE64, empty lines, and comments from # to the end of a line. The error is a *LineError.
func ParseKeys(text []byte) (Keys, error) {
	var keys Keys
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		content, _, _ := strings.Cut(line, "#")
		start := len(content) - len(strings.TrimLeft(content, " \t\r"))
		content = strings.Trim(content, " \t\r")
		if content == "" {
			continue
		}
		key, at, problem := parseKey(content)
		if problem == "" {
			problem = keys.add(key)
		}
		if problem != "" {
			return Keys{}, &LineError{i + 1, start + at + 1, problem}
		}
	}
	if keys.n == 0 {
		return Keys{}, &LineError{1, 1, "there is no key; write one with: joolctl genkey"}
	}
	return keys, nil
}

// add appends a key, or says why it can't.
func (k *Keys) add(key Key) (problem string) {
	if _, twice := k.With(key.ID); twice {
		return fmt.Sprintf("two keys have the ID %d; give each key another ID", key.ID)
	}
	if k.n == MaxKeys {
		return fmt.Sprintf("there are more than %d keys; remove the oldest", MaxKeys)
	}
	k.list[k.n] = key
	k.n++
	return ""
}

const wanted = "; write ID:BASE64, as joolctl genkey prints it"

// parseKey reads ID:BASE64. problem is "" if that is a key; otherwise at is the index of the mistake.
func parseKey(text string) (k Key, at int, problem string) {
	number, encoded, found := strings.Cut(text, ":")
	if !found {
		return k, 0, "there is no colon behind the key's ID" + wanted
	}
	id, err := strconv.ParseUint(number, 10, 8)
	if err != nil {
		return k, 0, "the key's ID is not a number from 0 to 255" + wanted
	}
	at = len(number) + 1
	decoded, err := base64.StdEncoding.Strict().DecodeString(encoded)
	switch {
	case err != nil:
		return k, at, "the key is not Base64" + wanted
	case len(decoded) != KeyLen:
		return k, at, fmt.Sprintf("the key has %d bytes and needs %d%s", len(decoded), KeyLen, wanted)
	}
	return Key{uint8(id), newSecret([KeyLen]byte(decoded))}, 0, ""
}
