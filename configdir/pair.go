package configdir

import (
	"cmp"
	"fmt"
	"path/filepath"
	"slices"
)

// Result has the pairs of a directory.
type Result struct {
	// Pairs are in the natural order of their unique names.
	Pairs []Pair
}

// Pair is the result of reading one pair of a directory.
type Pair struct {
	Name string
	// Netsocket and Modsocket are the paths of the two files. For a missing file, it is the path where the file
	// belongs.
	Netsocket, Modsocket string
	// Spec is the configuration in the files. It is meaningful only if OK.
	Spec Spec
	// Problems are all errors and warnings: first those of the netsocket file, then of its key file, then of the
	// modsocket file, each file's from top to bottom.
	Problems []Problem

	places places
}

// places has the value of each key and its place in a file, for Settings, and for problems that become known
// only when pairs are compared.
type places map[keyID]place

// place is the value of a key in a file.
type place struct {
	position
	raw string // in JSON
}

// OK reports whether the pair can run: its problems are warnings only.
func (p Pair) OK() bool {
	return !slices.ContainsFunc(p.Problems, func(p Problem) bool { return !p.Warning })
}

// Read reads every pair of a directory on its own. It does not check for conflicts between pairs, which depend
// on the running pairs (see Conflicts and Check). Broken pairs are in the result, with their problems. The error
// is for a directory that cannot be read at all; it wraps the cause.
func Read(dir string) (Result, error) {
	candidates, err := scan(dir)
	if err != nil {
		return Result{}, err
	}
	var result Result
	for _, c := range candidates {
		result.Pairs = append(result.Pairs, c.read(dir))
	}
	return result, nil
}

// Check is Read, and adds the conflicts that a cold start of the directory would cause among the pairs that are
// OK.
func Check(dir string) (Result, error) {
	result, err := Read(dir)
	if err != nil {
		return Result{}, err
	}
	var specs []Spec
	for _, pair := range result.Pairs {
		if pair.OK() {
			specs = append(specs, pair.Spec)
		}
	}
	conflicts := Conflicts(specs, nil)
	for i := range result.Pairs {
		pair := &result.Pairs[i]
		if !pair.OK() {
			continue
		}
		for _, conflict := range conflicts[pair.Name] {
			pair.Problems = append(pair.Problems, pair.Place(conflict))
		}
		pair.sort()
	}
	return result, nil
}

// ReadPair reads one pair from two files at any path. It does not check the name. An empty modsocketPath means a
// file without keys.
func ReadPair(name, netsocketPath, modsocketPath string) Pair {
	pair := Pair{
		Name: name, Netsocket: netsocketPath, Modsocket: modsocketPath,
		Spec: Defaults(), places: make(places),
	}
	pair.Spec.Name = name
	for _, of := range kinds {
		report := report{path: pair.path(of)}
		if report.path == "" {
			continue
		}
		data, wrong := readFile(report.path, of)
		if wrong != "" {
			report.add(0, "", wrong, false)
		} else {
			report.data = data
			decode(&report, of, &pair.Spec, pair.places)
		}
		pair.Problems = append(pair.Problems, report.problems...)
	}
	pair.secure()
	// Last, because the modsocket file is read after the netsocket file.
	if pair.Spec.NetNamespace == "" {
		pair.Spec.NetNamespace = pair.Spec.Namespace
	}
	pair.sort()
	return pair
}

// Place returns a conflict as a Problem, at the place of the key in the pair's files.
func (p Pair) Place(c Conflict) Problem {
	of := kinds[0]
	if find(c.Key, of) == nil {
		of = kinds[1]
	}
	at, ok := p.places[keyID{of, c.Key}]
	if !ok {
		at.position = top
	}
	return Problem{File: p.path(of), Line: at.line, Column: at.column, Key: c.Key, Message: c.Message}
}

func (p Pair) path(of kind) string {
	if of == netsocket {
		return p.Netsocket
	}
	return p.Modsocket
}

func (p Pair) sort() {
	rank := func(file string) int { return slices.Index([]string{p.Netsocket, p.Spec.KeyFile, p.Modsocket}, file) }
	slices.SortStableFunc(p.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(rank(a.File), rank(b.File)), byPlace(a, b))
	})
}

// read reads the files that scan has found for one name.
func (c *candidate) read(dir string) Pair {
	inside, beside := c.inside != [2]string{}, c.beside != [2]string{}
	paths := [2]string{}
	for _, of := range kinds {
		paths[of] = filepath.Join(dir, c.name, of.fileName())
		if !inside {
			paths[of] = filepath.Join(dir, c.name+"."+of.fileName())
		}
	}
	if inside && beside {
		return c.spelledTwice(paths)
	}
	pair := ReadPair(c.name, paths[netsocket], paths[modsocket])
	if wrong := badName(c.name); wrong != "" {
		pair.Problems = slices.Insert(pair.Problems, 0, Problem{File: pair.Netsocket, Line: 1, Column: 1, Message: wrong})
	}
	pair.adviseStats()
	pair.sort()
	return pair
}

// adviseStats warns of a stats address without a port. ReadPair does not, because outside a directory the port
// may come from a command line.
func (p *Pair) adviseStats() {
	at, address := p.places[keyID{modsocket, "stats address"}]
	_, port := p.places[keyID{modsocket, "stats port"}]
	if !address || port || !p.OK() {
		return
	}
	p.Problems = append(p.Problems, Problem{
		File: p.Modsocket, Line: at.line, Column: at.column, Key: "stats address", Warning: true,
		Message: `has no effect without "stats port"; write "stats port": "4000" as well, or leave this out`,
	})
}

// spelledTwice returns a pair with an error, because the directory has files for the name in both spellings and
// neither has priority.
func (c *candidate) spelledTwice(paths [2]string) Pair {
	pair := Pair{Name: c.name, Netsocket: paths[netsocket], Modsocket: paths[modsocket]}
	message := fmt.Sprintf("pair %s is spelled both as %s/*.json and as %s.*.json; remove one spelling, or rename it",
		quote(c.name), plain(c.name), plain(c.name))
	for _, of := range kinds {
		for _, path := range []string{c.inside[of], c.beside[of]} {
			if path != "" {
				pair.Problems = append(pair.Problems, Problem{File: path, Line: 1, Column: 1, Message: message})
			}
		}
	}
	return pair
}
