package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	// Version is that of the head.
	Version = 2
	// RunLen is the length of a run ID, in bytes.
	RunLen = 16
	// HeadLen is the length of the head, TagLen that of the tag behind the ciphertext.
	HeadLen = 4 + RunLen + 8
	TagLen  = 16
	// Overhead is how much longer a sealed datagram is than its content.
	Overhead = HeadLen + TagLen
	// randomLen is the length of a run ID's random part; its mark follows.
	randomLen = 12
)

// Run identifies the datagrams that a sender seals with one derived key: randomLen random bytes and a mark.
type Run [RunLen]byte

// Context enters each derived key. Hosts with different contexts cannot open each other's datagrams.
type Context struct {
	// Group is the multicast group; the zero Addr stands for peers by unicast.
	Group netip.Addr
	// Port is the UDP port of the group. By unicast it has no meaning, because hosts may have different ports.
	Port uint16
}

// String returns the context as it is in the derivation of keys.
func (c Context) String() string {
	if !c.Group.IsValid() {
		return fmt.Sprintf("joolctl %d peers", Version)
	}
	return fmt.Sprintf("joolctl %d %v %d", Version, c.Group, c.Port)
}

// deriver derives from one shared key what a Channel needs.
type deriver struct {
	key     Key
	context Context
	marks   cipher.Block
	in, out [aes.BlockSize]byte // memory for a mark
}

func newDeriver(k Key, c Context) *deriver {
	d := &deriver{key: k, context: c}
	d.marks = d.block(nil, "run IDs")
	return d
}

// block returns AES-256 with a key that is derived for a purpose.
func (d *deriver) block(salt []byte, purpose string) cipher.Block {
	secret := d.key.secret.bytes()
	key, err := hkdf.Key(sha256.New, secret[:], salt, d.context.String()+" "+purpose, KeyLen)
	if err != nil {
		panic(err) // only for lengths that never occur
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // only for other lengths of keys
	}
	return block
}

// aead returns the cipher of a run.
func (d *deriver) aead(r *Run) cipher.AEAD {
	aead, err := cipher.NewGCM(d.block(r[:], "datagrams"))
	if err != nil {
		panic(err) // only for other ciphers than AES
	}
	return aead
}

// mark writes the mark of a run ID behind its random part.
func (d *deriver) mark(r *Run) {
	clear(d.in[copy(d.in[:], r[:randomLen]):])
	d.marks.Encrypt(d.out[:], d.in[:])
	copy(r[randomLen:], d.out[:])
}

// made reports whether a host with the key has made a run ID.
func (d *deriver) made(r *Run) bool {
	with := *r
	d.mark(&with)
	return subtle.ConstantTimeCompare(with[randomLen:], r[randomLen:]) == 1
}

// head is the head of a sealed datagram.
type head struct {
	key     uint8
	run     Run
	counter uint64
}

// IsSealed reports whether a datagram has the head of a sealed one.
func IsSealed(b []byte) bool { return len(b) >= Overhead && b[0] == 0 && b[1] == 0 && b[2] == Version }

// KeyID returns the ID of the key that a datagram that IsSealed names.
func KeyID(b []byte) uint8 { return b[3] }

func (h *head) append(dst []byte) []byte {
	dst = append(dst, 0, 0, Version, h.key)
	dst = append(dst, h.run[:]...)
	return binary.BigEndian.AppendUint64(dst, h.counter)
}

// parseHead reads the head of a datagram that IsSealed.
func parseHead(b []byte) (h head) {
	h.key = b[3]
	copy(h.run[:], b[4:])
	h.counter = binary.BigEndian.Uint64(b[4+RunLen:])
	return h
}

// nonceOf writes the nonce of a counter to n.
func nonceOf(n *[12]byte, counter uint64) []byte {
	binary.BigEndian.PutUint64(n[4:], counter)
	return n[:]
}
