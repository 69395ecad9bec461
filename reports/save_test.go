package reports

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gwlab/reports/convergence"
)

func saved(t *testing.T) (root, dir string) {
	t.Helper()
	root = t.TempDir()
	dir, err := SaveRun(root, handMade())
	if err != nil {
		t.Fatal(err)
	}
	return root, dir
}

// What is loaded is what was saved, so judging again gives the same result.
func TestRoundTrip(t *testing.T) {
	root, dir := saved(t)
	if want := filepath.Join(root, "UPLINK-02", "20260304T050607.089Z"); dir != want {
		t.Errorf("saved in %s, want %s", dir, want)
	}
	back, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if want := handMade(); !reflect.DeepEqual(back, want) {
		t.Errorf("loaded %+v\nsaved %+v", back, want)
	}
	again := convergence.Analyze(back, convergence.Options{})
	if want := convergence.Analyze(handMade(), convergence.Options{}); !reflect.DeepEqual(again, want) {
		t.Error("judged again, the result differs")
	}
}

func TestSaveReport(t *testing.T) {
	_, dir := saved(t)
	if err := SaveReport(dir, handMadeReport()); err != nil {
		t.Fatal(err)
	}
	var names []string
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
	if got := strings.Join(names, " "); got != "events.jsonl junit.xml result.json run.json samples.bin summary.md" {
		t.Error(got)
	}
	for _, f := range Formats() {
		if f.File == "" {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, f.File))
		if err != nil || string(text) != written(t, f.Name, handMadeReport()) {
			t.Errorf("%s: %v", f.File, err)
		}
	}
}

// Two runs of one instant do not share a directory.
func TestSaveTwice(t *testing.T) {
	root, first := saved(t)
	second, err := SaveRun(root, handMade())
	if err != nil || second != first+"-2" {
		t.Errorf("%s, %v", second, err)
	}
}

// No scenario name leaves the root.
func TestHostileDirectory(t *testing.T) {
	for name, want := range map[string]string{
		"../../etc": ".._.._etc", "..": "_..", "": "_", "a/b c": "a_b_c", "UPLINK-02": "UPLINK-02", "é": "_",
	} {
		run := handMade()
		run.Scenario = name
		root := t.TempDir()
		dir, err := SaveRun(root, run)
		if err != nil || filepath.Dir(dir) != filepath.Join(root, want) {
			t.Errorf("%q: %s, %v", name, dir, err)
		}
	}
}

// A failed write leaves no file, whole or in part.
func TestSaveFails(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "taken")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := SaveRun(file, handMade()); err == nil {
		t.Error("saved below a file")
	}
	if err := SaveReport(filepath.Join(root, "missing"), handMadeReport()); err == nil {
		t.Error("saved into a missing directory")
	}
	if entries, _ := os.ReadDir(root); len(entries) != 1 {
		t.Errorf("left behind: %v", entries)
	}
}

// Whatever is wrong with a saved run is told in one sentence.
func TestLoadRefuses(t *testing.T) {
	edit := func(name string, change func([]byte) []byte) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, change(text), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
	}
	half := func(b []byte) []byte { return b[:len(b)/2] }
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, dir string)
		want   string
	}{
		{"no run", remove(runFile), "holds no saved run: run.json is missing"},
		{"no events", remove(eventsFile), "events.jsonl: no such file"},
		{"no samples", remove(samplesFile), "samples.bin: no such file"},
		{"half a run", edit(runFile, half), "damaged or not a saved run"},
		{"another schema", edit(runFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"schema": 1`), []byte(`"schema": 99`), 1)
		}), "it has schema 99, this program reads 1"},
		{"foreign JSON", edit(runFile, func([]byte) []byte { return []byte(`{"name": "x"}`) }), "it has no schema"},
		{"JSON of another kind", edit(runFile, func([]byte) []byte { return []byte(`[1]`) }), "not a saved run"},
		{"a field of another kind", edit(runFile, func(b []byte) []byte {
			return bytes.Replace(b, []byte(`"seed": 7`), []byte(`"seed": "x"`), 1)
		}), "damaged"},
		{"half of the events", edit(eventsFile, half), "events.jsonl: line 2 is damaged"},
		{"an event without end", edit(eventsFile, func(b []byte) []byte { return b[:len(b)-1] }), "line 2 is damaged: the line has no end"},
		{"half of the samples", edit(samplesFile, half), "samples.bin: read samples: not a whole sample file"},
		{"other samples", edit(samplesFile, func([]byte) []byte { return []byte("hello") }), "not a whole sample file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, dir := saved(t)
			c.damage(t, dir)
			_, err := Load(dir)
			if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
	if _, err := Load(filepath.Join(t.TempDir(), "missing")); err == nil || !strings.Contains(err.Error(), "holds no saved run") {
		t.Error(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(`{"schema": 1}`), []byte(`{"t_ns": 1}`+"\n"))
	f.Add([]byte(`{`), []byte("\n"))
	f.Fuzz(func(t *testing.T, run, events []byte) {
		dir := t.TempDir()
		for name, text := range map[string][]byte{runFile: run, eventsFile: events} {
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := Load(dir); err == nil {
			t.Error("loaded a run without samples")
		}
	})
}
