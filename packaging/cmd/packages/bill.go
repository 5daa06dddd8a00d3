package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// bom is a software bill of materials in CycloneDX 1.5, as far as it is used here.
type bom struct {
	Format       string       `json:"bomFormat"`
	SpecVersion  string       `json:"specVersion"`
	Version      int          `json:"version"`
	Metadata     metadata     `json:"metadata"`
	Components   []component  `json:"components"`
	Dependencies []dependency `json:"dependencies"`
}

type metadata struct {
	Timestamp string    `json:"timestamp"`
	Component component `json:"component"`
}

type component struct {
	Type     string    `json:"type"`
	Ref      string    `json:"bom-ref"`
	Name     string    `json:"name"`
	Version  string    `json:"version"`
	PURL     string    `json:"purl"`
	Licences []licence `json:"licenses"`
}

type licence struct {
	Licence struct {
		ID string `json:"id"`
	} `json:"license"`
}

type dependency struct {
	Ref       string   `json:"ref"`
	DependsOn []string `json:"dependsOn"`
}

// bill writes the SBOM, which lists the modules of both programs.
func (b *builder) bill() error {
	modules, err := b.modules()
	if err != nil {
		return err
	}
	text, err := billOf(b.source, modules)
	if err != nil {
		return err
	}
	return b.write(fmt.Sprintf("joolctl-%s.cdx.json", b.source.version), text)
}

func billOf(s source, modules []module) ([]byte, error) {
	own := componentOf("application", "joolctl", s.version, "Apache-2.0")
	all := bom{
		Format: "CycloneDX", SpecVersion: "1.5", Version: 1,
		Metadata: metadata{Timestamp: s.date().Format(time.RFC3339), Component: own},
	}
	links := dependency{Ref: own.Ref}
	for _, m := range modules {
		c := componentOf("library", m.path, m.version, m.licence)
		all.Components = append(all.Components, c)
		links.DependsOn = append(links.DependsOn, c.Ref)
	}
	all.Dependencies = []dependency{links}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(all)
	return out.Bytes(), err
}

func componentOf(kind, name, version, id string) component {
	c := component{Type: kind, Name: name, Version: version, PURL: "pkg:golang/" + name + "@" + version}
	c.Ref = c.PURL
	var l licence
	l.Licence.ID = id
	c.Licences = []licence{l}
	return c
}

// checksums writes them as sha256sum -c reads it.
func (b *builder) checksums() error {
	entries, err := os.ReadDir(b.out)
	if err != nil {
		return err
	}
	var lines []string
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(b.out, e.Name()))
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%x  %s\n", sha256.Sum256(data), e.Name()))
	}
	slices.SortFunc(lines, func(a, b string) int { return bytes.Compare([]byte(a)[64:], []byte(b)[64:]) })
	var out bytes.Buffer
	for _, line := range lines {
		out.WriteString(line)
	}
	return b.write(sums, out.Bytes())
}
