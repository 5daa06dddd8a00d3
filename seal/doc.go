// Package seal encrypts and authenticates the datagrams between hosts that share a key, and rejects replayed ones. It does no I/O,
// and takes the time from its caller.
//
// A sealed datagram is
//
//	00 00 | version 1 byte | key ID 1 | run ID 16 | counter 8, big endian | ciphertext | tag 16
//
// Upstream's joolds and modules read it as an empty list of sessions. The cipher is AES-256-GCM (RFC 5116, AEAD_AES_256_GCM). The
// nonce is 4 zero bytes and the counter; the additional data is all bytes before the ciphertext. Each run of a sender has a key of
// its own, HKDF-SHA256 (RFC 5869) of the shared key with the run ID as salt, so the counter begins at 1 in each run.
//
// A run ID is 12 random bytes and a mark of 4 bytes, which only a host with the shared key can compute. The mark lets a receiver
// discard a forged run ID for the price of one AES block, before it derives a key.
//
// A host opens the datagrams of a peer's run only after an authentic greeting of that run has named the present run of this host,
// and only those that were sent after that greeting. A recording from before the present run is therefore useless. A host that
// forgets a silent run remembers its highest counter for as long as its own run could still be named by recorded greetings.
package seal
