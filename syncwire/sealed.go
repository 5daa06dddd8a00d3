package syncwire

import (
	"encoding/binary"
	"net/netip"

	"joolctl/session"
)

// The content of a sealed datagram begins with a byte for its kind. Kind 0 is a greeting, which package seal
// handles.
const (
	// sealedList is followed by a trailer and then the sessions, encoded by session.Record.AppendShort. This
	// encoding is the same for all versions of the module.
	sealedList = 1
	// sealedBulk is followed by the sender, its last sequence number, the full sync and the index, 4 bytes each,
	// and then the sessions as in a list. In this form, a BULK with MaxBulk sessions fits into the same frame as
	// a clear one.
	sealedBulk = 2
	// sealedMessage is followed by an unchanged control message.
	sealedMessage = 3
)

const (
	// bulkIDs is the offset of the full sync and the index in a clear BULK, bulkRecords that of its sessions.
	bulkIDs     = TrailerLen + 3
	bulkRecords = bulkIDs + 8 + 3
	// sealedBulkLen is the length of a sealed BULK's content without its sessions.
	sealedBulkLen = 1 + 16
)

var (
	errSealedLength = &malformed{errLength}
	errSealedMark   = &malformed{errMissing}
)

// AppendSealed appends the content for a sealed datagram to dst. datagram is a control message, or a list of
// sessions in the format f with a trailer. The sessions must have passed Check.
func AppendSealed(dst, datagram []byte, f session.Format) []byte {
	if !isMark(datagram) {
		return appendSealedList(dst, datagram, f)
	}
	if !isPlainBulk(datagram) {
		return append(append(dst, sealedMessage), datagram...)
	}
	dst = append(dst, sealedBulk)
	dst = append(dst, datagram[4:TrailerLen]...)
	dst = append(dst, datagram[bulkIDs:bulkIDs+8]...)
	for b := datagram[bulkRecords:]; len(b) > 0; b = b[RecordLen:] {
		dst = (*session.Record)(b).AppendShort(dst)
	}
	return dst
}

func appendSealedList(dst, datagram []byte, f session.Format) []byte {
	entries, trailer := datagram[:len(datagram)-TrailerLen], datagram[len(datagram)-TrailerLen:]
	dst = append(append(dst, sealedList), trailer...)
	var memory session.Record
	for ; len(entries) > 0; entries = entries[f.EntryLen():] {
		dst = f.RecordIn(entries, &memory).AppendShort(dst)
	}
	return dst
}

// isPlainBulk reports whether a message is a BULK with exactly the fields that Append writes, in the same order.
func isPlainBulk(b []byte) bool {
	return len(b) > bulkRecords && b[2] == Version && Type(b[3]) == TypeBulk && b[TrailerLen] == 1 &&
		binary.BigEndian.Uint16(b[TrailerLen+1:]) == 8 && b[bulkIDs+8] == 2 &&
		int(binary.BigEndian.Uint16(b[bulkIDs+9:])) == len(b)-bulkRecords && (len(b)-bulkRecords)%RecordLen == 0
}

// AppendOpened appends to dst the clear datagram for the content of a sealed one. The sessions get the format
// session.Packed40. The error is ErrNotUnderstood for an unknown kind of content, which a newer version may
// send, and otherwise wraps ErrMalformed.
func AppendOpened(dst, content []byte) ([]byte, error) {
	if len(content) == 0 {
		return dst, errEmpty
	}
	switch content[0] {
	case sealedMessage:
		if !isMark(content[1:]) {
			return dst, errSealedMark
		}
		return append(dst, content[1:]...), nil
	case sealedList:
		return appendOpenedList(dst, content)
	case sealedBulk:
		return appendOpenedBulk(dst, content)
	}
	return dst, ErrNotUnderstood
}

func appendOpenedList(dst, content []byte) (_ []byte, err error) {
	const at = 1 + TrailerLen
	if len(content) <= at || (len(content)-at)%session.ShortLen != 0 {
		return dst, errSealedLength
	}
	if !isMark(content[1:]) {
		return dst, errSealedMark
	}
	for b := content[at:]; len(b) > 0; b = b[session.ShortLen:] {
		r := session.FromShort(b)
		if dst, err = session.Packed40.AppendRecord(dst, &r, netip.Prefix{}); err != nil {
			return dst, reasonFor(err)
		}
	}
	return append(dst, content[1:at]...), nil
}

func reasonFor(err error) error {
	if reason := reasons[err]; reason != nil {
		return reason
	}
	return &malformed{err}
}

func appendOpenedBulk(dst, content []byte) ([]byte, error) {
	records := content[min(sealedBulkLen, len(content)):]
	if len(records) == 0 || len(records)%session.ShortLen != 0 || len(records)/session.ShortLen > MaxBulk {
		return dst, errSealedLength
	}
	dst = append(dst, 0, 0, Version, byte(TypeBulk))
	dst = append(dst, content[1:9]...)
	dst = append(dst, 1, 0, 8)
	dst = append(dst, content[9:sealedBulkLen]...)
	dst = append(dst, 2)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(records)/session.ShortLen*RecordLen))
	for ; len(records) > 0; records = records[session.ShortLen:] {
		r := session.FromShort(records)
		dst = append(dst, r[:]...)
	}
	return dst, nil
}
