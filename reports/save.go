package reports

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gwlab/reports/convergence"
)

// The files of a saved run, beside those of the formats.
const (
	runFile     = "run.json"
	eventsFile  = "events.jsonl"
	samplesFile = "samples.bin"
)

// SaveRun writes a run, as recorded, below root into a new directory
// <scenario>/<start>, and returns that directory. run.json comes last: where
// it is, the run is whole.
func SaveRun(root string, run convergence.Run) (string, error) {
	dir, err := makeDir(filepath.Join(root, element(run.Scenario)), run.StartedAt.UTC().Format("20060102T150405.000Z"))
	if err != nil {
		return "", fmt.Errorf("save run: %w", err)
	}
	err = errors.Join(
		writeFile(dir, samplesFile, func(w io.Writer) error { return convergence.WriteSamples(w, run.Flows) }),
		writeFile(dir, eventsFile, func(w io.Writer) error { return writeEvents(w, run.Events) }),
	)
	if err == nil {
		err = writeFile(dir, runFile, func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetIndent("", "  ")
			return enc.Encode(run)
		})
	}
	if err != nil {
		return dir, fmt.Errorf("save run: %w", err)
	}
	return dir, nil
}

// SaveReport writes every format that has a file into a run's directory.
func SaveReport(dir string, r Report) error {
	for _, f := range Formats() {
		if f.File == "" {
			continue
		}
		if err := writeFile(dir, f.File, func(w io.Writer) error { return f.Write(w, r) }); err != nil {
			return fmt.Errorf("save report: %w", err)
		}
	}
	return nil
}

// element makes a name one path element.
func element(name string) string {
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r == '.' || '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' {
			return r
		}
		return '_'
	}, name)
	if strings.Trim(name, ".") == "" {
		return "_" + name
	}
	return name
}

// makeDir makes parent/name, or parent/name-2 … if that is taken.
func makeDir(parent, name string) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	for i := 1; ; i++ {
		dir := filepath.Join(parent, name)
		if i > 1 {
			dir += fmt.Sprintf("-%d", i)
		}
		if err := os.Mkdir(dir, 0o755); !errors.Is(err, os.ErrExist) {
			return dir, err
		}
	}
}

// writeFile writes a whole file or none.
func writeFile(dir, name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(dir, "."+name+"-")
	if err != nil {
		return err
	}
	b := bufio.NewWriter(f)
	err = errors.Join(write(b), b.Flush(), f.Chmod(0o644), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", name, err), os.Remove(f.Name()))
	}
	return nil
}

func writeEvents(w io.Writer, events []convergence.Event) error {
	enc := json.NewEncoder(w)
	for _, e := range events {
		if err := enc.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// Load reads a run that SaveRun wrote. The error of a directory that holds
// none, or one that is damaged or of another version, is one sentence.
func Load(dir string) (convergence.Run, error) {
	run, err := loadRun(filepath.Join(dir, runFile))
	if err != nil {
		return convergence.Run{}, err
	}
	if run.Events, err = loadEvents(filepath.Join(dir, eventsFile)); err != nil {
		return convergence.Run{}, err
	}
	f, err := os.Open(filepath.Join(dir, samplesFile))
	if err != nil {
		return convergence.Run{}, fmt.Errorf("load run: %w", err)
	}
	defer func() { _ = f.Close() }()
	if err := convergence.ReadSamples(bufio.NewReader(f), run.Flows); err != nil {
		return convergence.Run{}, fmt.Errorf("load %s: %w", f.Name(), err)
	}
	return run, nil
}

func loadRun(path string) (convergence.Run, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return convergence.Run{}, fmt.Errorf("load run: %s holds no saved run: %s is missing", filepath.Dir(path), runFile)
	}
	if err != nil {
		return convergence.Run{}, fmt.Errorf("load run: %w", err)
	}
	var version struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(text, &version); err != nil {
		return convergence.Run{}, fmt.Errorf("load %s: damaged or not a saved run: %w", path, err)
	}
	if version.Schema == nil {
		return convergence.Run{}, fmt.Errorf("load %s: not a saved run: it has no schema", path)
	}
	if *version.Schema != convergence.SchemaVersion {
		return convergence.Run{}, fmt.Errorf("load %s: it has schema %d, this program reads %d: use the version that wrote it", path, *version.Schema, convergence.SchemaVersion)
	}
	var run convergence.Run
	if err := json.Unmarshal(text, &run); err != nil {
		return convergence.Run{}, fmt.Errorf("load %s: damaged: %w", path, err)
	}
	return run, nil
}

func loadEvents(path string) ([]convergence.Event, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("load run: %w", err)
	}
	var events []convergence.Event
	for n := 1; len(text) > 0; n++ {
		line, rest, whole := bytes.Cut(text, []byte("\n"))
		text = rest
		var e convergence.Event
		err := json.Unmarshal(line, &e)
		if err == nil && !whole {
			err = errors.New("the line has no end")
		}
		if err != nil {
			return nil, fmt.Errorf("load %s: line %d is damaged: %w", path, n, err)
		}
		events = append(events, e)
	}
	return events, nil
}
