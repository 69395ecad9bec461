package reports

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gwlab/reports/convergence"
)

// shortRun is a run small enough to damage at every byte.
func shortRun() convergence.Run {
	run := handMade()
	for i := range run.Flows {
		run.Flows[i].Sent, run.Flows[i].Received = run.Flows[i].Sent[:9], run.Flows[i].Received[:9]
	}
	return run
}

// damaged loads a saved run with one file replaced.
func damaged(t *testing.T, dir, name string, text []byte) (convergence.Run, error) {
	t.Helper()
	path := filepath.Join(dir, name)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}()
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(dir)
}

// A file that ends early, at whatever byte, is refused in one sentence that
// names it; events may end after a whole line.
func TestEveryTruncation(t *testing.T) {
	want := shortRun()
	dir, err := SaveRun(t.TempDir(), want)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{runFile, eventsFile, samplesFile} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for n := range whole {
			got, err := damaged(t, dir, name, whole[:n])
			switch {
			case err == nil && name == runFile && n == len(whole)-1: // only the final newline is gone
			case err == nil && name == eventsFile && (n == 0 || whole[n-1] == '\n'):
				if lines := bytes.Count(whole[:n], []byte("\n")); len(got.Events) != lines {
					t.Errorf("%d events of %d lines", len(got.Events), lines)
				}
			case err == nil:
				t.Errorf("%s cut to %d of %d bytes is loaded", name, n, len(whole))
			case !strings.Contains(err.Error(), name) || strings.Contains(err.Error(), "\n"):
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			case !reflect.DeepEqual(got, convergence.Run{}):
				t.Errorf("%s cut to %d bytes: a run beside the error", name, n)
			}
		}
		if _, err := damaged(t, dir, name, append(bytes.Clone(whole), "garbage"...)); err == nil {
			t.Errorf("%s with garbage behind it is loaded", name)
		}
	}
	if got, err := Load(dir); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("the undamaged run: %v", err)
	}
}

// A flipped bit anywhere is refused in one sentence or gives some run that
// every format can write: nothing panics, nothing is allocated without end.
func TestEveryFlippedBit(t *testing.T) {
	dir, err := SaveRun(t.TempDir(), shortRun())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{eventsFile, samplesFile} {
		whole, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			text := bytes.Clone(whole)
			text[i] ^= 1 << (i % 8)
			run, err := damaged(t, dir, name, text)
			if err != nil {
				if strings.Contains(err.Error(), "\n") {
					t.Errorf("%s, byte %d: %v", name, i, err)
				}
				continue
			}
			r := Report{Results: []convergence.Result{convergence.Analyze(run, convergence.Options{})}}
			for _, f := range Formats() {
				if written(t, f.Name, r) == "" {
					t.Errorf("%s, byte %d: %s writes nothing", name, i, f.Name)
				}
			}
		}
	}
}

// A file of one run beside those of another is not taken for its own.
func TestFilesOfAnotherRun(t *testing.T) {
	other := shortRun()
	other.Flows = other.Flows[:1]
	root := t.TempDir()
	dir, err := SaveRun(root, shortRun())
	if err != nil {
		t.Fatal(err)
	}
	second, err := SaveRun(root, other)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{dir: second, second: dir} {
		text, err := os.ReadFile(filepath.Join(from, samplesFile))
		if err != nil {
			t.Fatal(err)
		}
		if run, err := damaged(t, to, samplesFile, text); err == nil {
			t.Errorf("%d flows are loaded with the samples of another run", len(run.Flows))
		}
	}
}

// A run that cannot be written whole leaves no run.json that claims it is.
func TestUnwritableDirectory(t *testing.T) {
	root := t.TempDir()
	if err := os.WriteFile(filepath.Join(root, "UPLINK-02"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if dir, err := SaveRun(root, handMade()); err == nil || !strings.HasPrefix(err.Error(), "save run: ") {
		t.Errorf("saved in %s, %v", dir, err)
	}
	_, dir := saved(t)
	for _, f := range Formats() {
		if f.File == "" {
			continue
		}
		taken := filepath.Join(dir, f.File)
		if err := os.MkdirAll(filepath.Join(taken, "in the way"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := SaveReport(dir, handMadeReport()); err == nil || !strings.Contains(err.Error(), f.File) {
			t.Errorf("%s: %v", f.File, err)
		}
		if err := os.RemoveAll(taken); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// hostileTexts are what a YAML file, a daemon or a node could make a name of.
func hostileTexts() []string {
	return []string{
		"", " ", "\n", "\r\n", "a\nb", "\t", "\x00", "\x1b]0;title\x07", "\x1b[31mred", "\u202e\u2066\u200b", "\ufeff", "\u0085\u2028\u2029", "\xff\xfe", "\ud7ff\ufffe",
		"|", "||", "\\|", "\\", "`", "```", "````", "~~~", "# h", "- x", "1. x", "> q", "---", "===", "***", "<!--", "-->", "</testcase>", "<![CDATA[", "]]>", "&amp;", "&#0;",
		"[x](javascript:alert(1))", "![x](http://e/)", "<img src=x onerror=y>", "@user", "#1", "https://e/", "$(x)", "${x}", "'", "\"", "\"'><", "{{ x }}", "%s%n", strings.Repeat("é", 5000),
	}
}

// spoken puts one text into every place of a report that takes one.
func spoken(text string) Report {
	r := judged()
	r.Scenario, r.About, r.Topology, r.Gateway, r.Reasons = text, "about"+text, text, text, []string{text}
	r.Environment = map[string]string{"kernel": "x" + text}
	for i := range r.Checks {
		r.Checks[i] = convergence.Check{Phase: text, Text: text, Value: text, Limit: text, Reason: "x" + text, Verdict: convergence.Fail}
	}
	for i := range r.Injections {
		r.Injections[i].Kind, r.Injections[i].Target, r.Injections[i].Evidence = text, text, text
	}
	for i := range r.Phases {
		r.Phases[i].Phase = text
		for j := range r.Phases[i].Flows {
			r.Phases[i].Flows[j].Flow = text
		}
	}
	return Report{Results: []convergence.Result{r}, Reproduce: "gwlab" + text}
}

// No text changes the shape of a report: as many lines, cells, elements and
// objects as with a plain word.
func TestNoTextChangesTheShape(t *testing.T) {
	shape := func(format, out string) string {
		switch format {
		case "junit":
			var names []string
			d := xml.NewDecoder(strings.NewReader(out))
			for {
				token, err := d.Token()
				if err != nil {
					return fmt.Sprint(names, err)
				}
				if e, ok := token.(xml.StartElement); ok {
					names = append(names, fmt.Sprint(e.Name.Local, len(e.Attr)))
				}
			}
		case "json":
			var v convergence.Result
			return fmt.Sprint(json.Unmarshal([]byte(out), &v), len(v.Checks), len(v.Phases), strings.Count(out, "\n"))
		case "markdown":
			lines := strings.Count(out, "\n")
			out, _, _ = strings.Cut(out, "### Reproduce") // what follows is code
			return fmt.Sprint(lines, strings.Count(strings.ReplaceAll(strings.ReplaceAll(out, `\\`, ""), `\|`, ""), "|"))
		default:
			return fmt.Sprint(strings.Count(out, "\n"))
		}
	}
	for _, f := range Formats() {
		want := shape(f.Name, written(t, f.Name, spoken("word")))
		for _, text := range hostileTexts() {
			if got := shape(f.Name, written(t, f.Name, spoken(text))); got != want {
				t.Errorf("%s with %.40q: %s, want %s", f.Name, text, got, want)
			}
		}
	}
}

// No name leaves the root.
func TestElementIsOnePathElement(t *testing.T) {
	for _, name := range append(hostileTexts(), ".", "..", "...", "/", "//", "a/../..", "-", "~", "con", "UPLINK-02") {
		got := element(name)
		if got == "" || got == "." || got == ".." || filepath.Base(got) != got || !filepath.IsLocal(got) {
			t.Errorf("%.40q becomes %.40q", name, got)
		}
	}
}
