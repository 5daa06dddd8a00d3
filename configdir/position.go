package configdir

import "bytes"

// position is a place in a file; both count from 1, columns in bytes.
type position struct{ line, column int }

// top is where everything is reported that is not there.
var top = position{1, 1}

// positionOf turns an offset into data into a place. An offset at the end (or
// beyond) is the place behind the last byte.
func positionOf(data []byte, offset int) position {
	before := data[:min(max(offset, 0), len(data))]
	return position{
		line:   1 + bytes.Count(before, []byte{'\n'}),
		column: len(before) - bytes.LastIndexByte(before, '\n'),
	}
}
