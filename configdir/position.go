package configdir

import "bytes"

// position is a place in a file. Lines and columns count from 1, columns in bytes.
type position struct{ line, column int }

// top is the position of problems about missing keys and files.
var top = position{1, 1}

// positionOf returns the position of an offset in data. For an offset at or beyond the end, it is the position
// behind the last byte.
func positionOf(data []byte, offset int) position {
	before := data[:min(max(offset, 0), len(data))]
	return position{
		line:   1 + bytes.Count(before, []byte{'\n'}),
		column: len(before) - bytes.LastIndexByte(before, '\n'),
	}
}
