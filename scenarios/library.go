package scenarios

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

const suffix = ".scenario.yaml"

//go:embed *.scenario.yaml
var library embed.FS

// Library returns the scenarios that ship with the program.
func Library() fs.FS { return library }

// All loads every scenario of a library, sorted by id.
func All(fsys fs.FS) ([]*Scenario, error) {
	names, err := fs.Glob(fsys, "*"+suffix)
	if err != nil {
		return nil, err
	}
	var out []*Scenario
	for _, n := range names {
		src, err := fs.ReadFile(fsys, n)
		if err != nil {
			return nil, err
		}
		s, err := Parse(n, src)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b *Scenario) int { return strings.Compare(a.ID, b.ID) })
	return out, nil
}
