// Package archtest holds the import table of the house: who may import whom.
// It owns the table and the size limits and refuses everything else.
package archtest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// table lists every package and what of gwlab it may import. "lab/..." covers
// a folder; the order is the order of the house, arrows go down only.
var table = map[string][]string{
	"internal/monotime":   {},
	"internal/strictyaml": {},
	"internal/archtest":   {},
	"internal/docstest":   {"*"},

	"topologies":          {"internal/strictyaml"},
	"fault":               {"topologies", "internal/strictyaml"},
	"reports/convergence": {},
	"scenarios":           {"topologies", "fault", "reports/convergence", "internal/strictyaml"},
	"gateway/config":      {"internal/strictyaml"},
	"gateway/state":       {},
	"gateway/event":       {},

	"lab/netns":      {},
	"lab/cable":      {"lab/netns", "topologies", "fault", "internal/monotime"},
	"lab/proc":       {"lab/netns", "internal/monotime"},
	"lab/probe":      {"lab/netns", "lab/cable", "reports/convergence", "internal/monotime", "fault"},
	"lab/observe":    {"lab/netns", "reports/convergence", "internal/monotime", "topologies"},
	"lab/capability": {"lab/netns", "lab/cable"},
	"lab/kind":       {"topologies", "gateway/config"},
	"lab": {"topologies", "fault", "reports/convergence", "gateway/event", "internal/monotime",
		"lab/netns", "lab/cable", "lab/proc", "lab/probe", "lab/observe", "lab/capability", "lab/kind"},

	"scenarios/engine": {"scenarios", "topologies", "fault", "reports/convergence", "internal/monotime"},
	"reports":          {"topologies", "scenarios", "reports/convergence"},

	"gateway/bgp":    {"gateway/config", "gateway/state", "internal/monotime"},
	"gateway/bfd":    {"gateway/config", "gateway/state", "internal/monotime"},
	"gateway/kernel": {"gateway/state", "internal/monotime"},
	"gateway/agent": {"gateway/config", "gateway/state", "gateway/event", "gateway/bgp", "gateway/bfd",
		"gateway/kernel", "internal/monotime"},
	"gateway": {"gateway/config", "gateway/state", "gateway/event", "gateway/bgp", "gateway/bfd",
		"gateway/kernel", "gateway/agent", "internal/monotime"},

	"cmd/gatewayd": {"gateway", "gateway/config", "gateway/event", "internal/monotime"},
	"cmd/gwlab": {"topologies", "fault", "scenarios", "scenarios/engine", "reports", "reports/convergence", "lab",
		"lab/capability", "lab/kind", "lab/probe", "lab/proc", "lab/netns", "lab/cable", "internal/monotime",
		"internal/strictyaml"},
}

// only lists what a library may be imported by: the hands on the kernel.
var only = map[string][]string{
	"github.com/vishvananda/netlink": {"lab", "gateway/kernel"},
	"github.com/vishvananda/netns":   {"lab/netns"},
	"github.com/cilium/ebpf":         {"lab/cable", "lab/capability"},
	"github.com/osrg/gobgp":          {"gateway/bgp"},
	"github.com/goccy/go-yaml":       {"internal/strictyaml"},
}

type pkg struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	Imports    []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Dir,GoFiles,Imports", "gwlab/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("decode go list: %v", err)
		}
		all = append(all, p)
	}
}

func TestImportTable(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, "gwlab/")
		allowed, listed := table[name]
		if !listed {
			t.Errorf("%s is not in the import table: decide what it may import and add it", name)
			continue
		}
		for _, imp := range p.Imports {
			if in, ok := strings.CutPrefix(imp, "gwlab/"); ok && !slices.Contains(allowed, in) && !slices.Contains(allowed, "*") {
				t.Errorf("%s imports %s, which the table does not allow", name, in)
			}
			for lib, users := range only {
				if (imp == lib || strings.HasPrefix(imp, lib+"/")) && !slices.ContainsFunc(users, func(u string) bool { return strings.HasPrefix(name, u) }) {
					t.Errorf("%s imports %s, which belongs to %v", name, imp, users)
				}
			}
		}
	}
}

func TestSizes(t *testing.T) {
	const maxFile, maxFunc = 400, 60
	for _, p := range packages(t) {
		for _, f := range p.GoFiles {
			path := filepath.Join(p.Dir, f)
			if n := lines(t, path); n > maxFile {
				t.Errorf("%s has %d lines, more than %d: split it by noun", path, n, maxFile)
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				t.Fatalf("parse %s: %v", path, err)
			}
			for _, d := range file.Decls {
				fn, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				if n := fset.Position(fn.End()).Line - fset.Position(fn.Pos()).Line + 1; n > maxFunc {
					t.Errorf("%s: %s has %d lines, more than %d", path, fn.Name.Name, n, maxFunc)
				}
				if fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function: nothing registers itself here", path)
				}
			}
		}
	}
}

// TestPackageDoc wants each package to say what it owns.
func TestPackageDoc(t *testing.T) {
	for _, p := range packages(t) {
		ok := false
		for _, f := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, f), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatalf("parse %s: %v", f, err)
			}
			ok = ok || file.Doc != nil
		}
		if len(p.GoFiles) > 0 && !ok {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestNoSleep keeps bare sleeps out of everything but tests.
func TestNoSleep(t *testing.T) {
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == "testdata" {
			return fs.SkipDir
		}
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if bytes.Contains(src, []byte("time."+"Sleep(")) {
			t.Errorf("%s sleeps: wait for an event or a context instead", path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func lines(t *testing.T, path string) int {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); n++ {
	}
	return n
}
