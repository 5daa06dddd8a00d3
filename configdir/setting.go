package configdir

// Setting is the value of a key for a pair.
type Setting struct {
	// File is "netsocket" or "modsocket".
	File, Key string
	// Value is the value in JSON. It is empty if the pair's files do not have the key and the key has no
	// default. Then Without describes the behaviour.
	Value, Without string
	// Path and Line are the place of the value. Path is empty if the files do not have the key.
	Path string
	Line int
}

// Settings returns the values of all keys, in the order of Keys. It includes invalid values, which Problems
// reports.
func (p Pair) Settings() []Setting {
	var all []Setting
	for _, k := range keys {
		s := Setting{File: k.of.String(), Key: k.name, Value: k.preset, Without: k.absent}
		if at, ok := p.places[k.keyID]; ok {
			s.Value, s.Without, s.Path, s.Line = at.raw, "", p.path(k.of), at.line
		}
		all = append(all, s)
	}
	return all
}
