package configdir

import (
	"path/filepath"
	"strings"

	"joolctl/seal"
)

// Security is which datagrams, clear or sealed ones, a pair sends and accepts.
type Security uint8

const (
	// SecurityOff sends and accepts clear datagrams only.
	SecurityOff Security = iota
	// SecurityAccept accepts both clear and sealed datagrams, and sends clear ones.
	SecurityAccept
	// SecuritySend accepts both, and sends sealed ones.
	SecuritySend
	// SecurityRequire sends and accepts sealed datagrams only.
	SecurityRequire
)

var securities = [...]string{"off", "accept", "send", "require"}

func (s Security) String() string { return securities[s] }

// Keyed reports whether the pair accepts sealed datagrams.
func (s Security) Keyed() bool { return s != SecurityOff }

// Seals reports whether the pair sends sealed datagrams.
func (s Security) Seals() bool { return s >= SecuritySend }

const (
	keyFileKey  = "key file"
	securityKey = "security"
	sequenceKey = "sequence"
)

func setSecurity(s *Spec, v value) *complaint {
	text, c := v.text()
	if c != nil {
		return c
	}
	for i, name := range securities {
		if name == text {
			s.Security = Security(i)
			return nil
		}
	}
	return wrong("%s is no such mode", quote(text))
}

func setKeyFile(s *Spec, v value) *complaint {
	text, c := v.line(4095, "a path can have")
	if c == nil {
		s.KeyFile = text
	}
	return c
}

// keyFilePath returns the path of a key file that a netsocket file names.
func keyFilePath(netsocketPath, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(netsocketPath), name)
}

// secure checks the keys of the netsocket file that concern its key file, and reads the key file. It must be
// called after the netsocket file is read.
func (p *Pair) secure() {
	file, keyed := p.places[keyID{netsocket, keyFileKey}]
	security, moded := p.places[keyID{netsocket, securityKey}]
	if !keyed {
		if moded {
			p.complain(security.position, securityKey, `has no meaning without a key; write "key file": "NAME.key" as well, or leave this out`)
		}
		return
	}
	if !moded {
		p.complain(file.position, keyFileKey, `"security" is missing, which says what to do with clear datagrams; write "security": "accept" on all hosts, then "send" on all, then "require"`)
	}
	if !p.Spec.Sequence {
		p.complain(p.places[keyID{netsocket, sequenceKey}].position, sequenceKey,
			`false leaves only upstream's bytes, but hosts with a key need messages of their own to find each other; write true, or leave out "key file"`)
	}
	if p.Spec.KeyFile != "" {
		p.readKeys()
	}
}

// complain adds an error at a place of the netsocket file.
func (p *Pair) complain(at position, key, message string) {
	p.Problems = append(p.Problems, Problem{File: p.Netsocket, Line: at.line, Column: at.column, Key: key, Message: message})
}

// readKeys reads the key file.
func (p *Pair) readKeys() {
	p.Spec.KeyFile = keyFilePath(p.Netsocket, p.Spec.KeyFile)
	at := func(line, column int, message string) {
		p.Problems = append(p.Problems, Problem{File: p.Spec.KeyFile, Line: line, Column: column, Message: message})
	}
	data, wrong := readFile(p.Spec.KeyFile, keyFile)
	if wrong != "" {
		at(1, 1, wrong)
		return
	}
	keys, err := seal.ParseKeys(data)
	if err != nil {
		mistake := err.(*seal.LineError) // ParseKeys returns no other type
		at(mistake.Line, mistake.Column, mistake.Text)
		return
	}
	p.Spec.Keys = keys
}

// KeyFiles returns the paths of the key files that the netsocket files of a directory name, each once. It
// ignores all problems of these files.
func KeyFiles(dir string) []string {
	candidates, err := scan(dir)
	if err != nil {
		return nil
	}
	var files []string
	seen := make(map[string]bool)
	for _, c := range candidates {
		for _, path := range []string{c.inside[netsocket], c.beside[netsocket]} {
			if path == "" {
				continue
			}
			data, wrong := readFile(path, netsocket)
			if wrong != "" || !strings.Contains(string(data), "key") {
				continue
			}
			var spec Spec
			decode(&report{path: path, data: data}, netsocket, &spec, make(places))
			if spec.KeyFile == "" {
				continue
			}
			if file := keyFilePath(path, spec.KeyFile); !seen[file] {
				seen[file] = true
				files = append(files, file)
			}
		}
	}
	return files
}
