package topologies

import (
	"embed"
	"io/fs"
	"slices"
	"strings"
)

//go:embed *.topo.yaml
var library embed.FS

// Library holds the shipped topologies.
func Library() fs.FS { return library }

// Names lists the shipped topologies, sorted, without the Suffix.
func Names() []string { return names(library) }

func names(fsys fs.FS) []string {
	files, err := fs.Glob(fsys, "*"+Suffix)
	if err != nil {
		return nil // the pattern is constant and well formed
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, Suffix)
	}
	slices.Sort(files) // by name: the suffix sorts otherwise
	return files
}
