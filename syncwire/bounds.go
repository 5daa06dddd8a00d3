package syncwire

// Bounds of the lists in messages. A receiver refuses longer ones.
const (
	MaxRanges   = 64 // in a NACK or GONE
	MaxAudience = 32 // in a BEGIN
	MaxHeard    = 16 // in a HELLO
	// MaxBulk is the largest number of sessions in a BULK, so that the message is at most MaxMessage bytes long.
	MaxBulk = (MaxMessage - TrailerLen - 2*7 - 3) / RecordLen
	// maxPadding bounds the padding of a HELLO in bytes. No datagram is longer.
	maxPadding = MaxMTU
)
