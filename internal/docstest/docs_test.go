// Package docstest runs what the documentation says: every command of a sh
// block, every YAML block through the parser it is for.
package docstest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"gwlab/fault"
	"gwlab/gateway/config"
	"gwlab/scenarios"
	"gwlab/topologies"
)

const root = "../.."

var update = flag.Bool("update", false, "rewrite the generated tables")

// block is one fenced block of a page.
type block struct {
	file, lang, text string
	line             int
}

func blocks(t *testing.T) []block {
	t.Helper()
	pages, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []block
	for _, page := range append(pages, root+"/README.md", root+"/CONTRIBUTING.md") {
		src, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		var open *block
		for i, line := range strings.Split(string(src), "\n") {
			fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
			switch {
			case isFence && open == nil:
				open = &block{file: filepath.Base(page), lang: fence, line: i + 2}
			case isFence:
				out = append(out, *open)
				open = nil
			case open != nil:
				open.text += line + "\n"
			}
		}
		if open != nil {
			t.Errorf("%s:%d: block is never closed", page, open.line)
		}
	}
	return out
}

func TestYAMLBlocks(t *testing.T) {
	n := 0
	for _, b := range blocks(t) {
		if b.lang != "yaml" {
			continue
		}
		n++
		var err error
		switch {
		case strings.Contains(b.text, "timeline:"):
			var s *scenarios.Scenario
			if s, err = scenarios.Parse(b.file, []byte(b.text)); err == nil {
				var top *topologies.Topology
				if top, err = topologies.Load(topologies.Library(), s.Topology); err == nil {
					_, err = scenarios.Compile(s, top, 1, 1)
				}
			}
		case strings.Contains(b.text, "nodes:"):
			_, err = topologies.Parse(b.file, []byte(b.text))
		default:
			_, err = config.Parse(b.file, []byte(b.text))
		}
		if err != nil {
			t.Errorf("%s:%d: %v", b.file, b.line, err)
		}
	}
	if n == 0 {
		t.Error("the documentation shows no YAML")
	}
}

// TestCommands runs the sh blocks of each page, in order, in an empty folder.
func TestCommands(t *testing.T) {
	if os.Geteuid() != 0 {
		if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
			t.Fatal("GWLAB_REQUIRE_ROOT=1 but not root")
		}
		t.Skip("not root: the documented commands build labs")
	}
	if _, err := os.Stat("/run/gwlab/pair"); err == nil {
		t.Skip("lab pair is up, and the documentation takes it down: gwlab down pair")
	}
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "./cmd/...")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	dirs := map[string]string{}
	for _, b := range blocks(t) {
		if b.lang != "sh" {
			continue
		}
		if dirs[b.file] == "" {
			dirs[b.file] = t.TempDir()
		}
		for i, line := range strings.Split(strings.TrimSpace(b.text), "\n") {
			line, _, _ = strings.Cut(line, "  #")
			command(t, b, b.line+i, dirs[b.file], bin, strings.TrimSpace(line))
		}
	}
}

func command(t *testing.T, b block, line int, dir, bin, text string) {
	t.Helper()
	text = strings.TrimPrefix(text, "sudo ")
	switch word, _, _ := strings.Cut(text, " "); word {
	case "", "git", "cd":
		return
	case "make":
		// The targets run the same commands; that they exist is enough here.
		text, dir = strings.Replace(text, "make", "make -n", 1), root
	case "gwlab", "gatewayd", "bash", "sh":
	default:
		t.Errorf("%s:%d: %q is no command this test knows", b.file, line, word)
		return
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "sh", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%s:%d: %s: %v\n%s", b.file, line, text, err, out)
	}
}

// TestGeneratedTables keeps the tables equal to the lists they come from.
func TestGeneratedTables(t *testing.T) {
	faults := "| kind | options | what happens |\n|---|---|---|\n"
	for _, k := range fault.Kinds() {
		faults += fmt.Sprintf("| `%s` | `%s` | %s |\n", k.Name, strings.Join(options(k.New()), "`, `"), k.Doc)
	}
	metrics := "| metric | unit | meaning |\n|---|---|---|\n"
	for _, m := range scenarios.Metrics() {
		metrics += fmt.Sprintf("| `%s` | %s | %s |\n", m.Name, map[bool]string{true: "time", false: "count"}[m.Time], m.Doc)
	}
	page := root + "/docs/scenarios.md"
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	text := string(src)
	for name, table := range map[string]string{"faults": faults, "metrics": metrics} {
		begin := "<!-- generated: " + name + " -->\n"
		head, rest, ok := strings.Cut(text, begin)
		_, tail, closed := strings.Cut(rest, "<!-- end -->")
		if !ok || !closed {
			t.Fatalf("%s has no place for the table of %s", page, name)
		}
		text = head + begin + table + "<!-- end -->" + tail
	}
	if *update {
		if err := os.WriteFile(page, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(src) {
		t.Errorf("%s is out of date: make generate", page)
	}
}

// options are the YAML keys of a fault.
func options(f fault.Fault) []string {
	var out []string
	typ := reflect.TypeOf(f).Elem()
	for i := range typ.NumField() {
		out = append(out, typ.Field(i).Tag.Get("yaml"))
	}
	return out
}
