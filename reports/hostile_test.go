package reports

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"gwlab/reports/convergence"
)

// evil tries to leave every format it is put into.
const evil = "\x1b[2J<script>alert(1)</script> | `x` **b** [l](http://e) & \"q\" ]]> \x00\u202e\n# h\n$(reboot) ``` \xff"

func hostile() Report {
	r := judged()
	r.Scenario, r.About, r.Topology, r.Gateway, r.Reasons = evil, evil, evil, evil, []string{evil}
	r.Environment = map[string]string{evil: evil}
	for i := range r.Checks {
		r.Checks[i] = convergence.Check{Phase: evil, Text: evil, Value: evil, Limit: evil, Reason: evil, Verdict: convergence.Verdict(evil)}
	}
	for i := range r.Injections {
		r.Injections[i].Kind, r.Injections[i].Target, r.Injections[i].Evidence, r.Injections[i].Error = evil, evil, evil, evil
	}
	for i := range r.Phases {
		r.Phases[i].Phase = evil
		for j := range r.Phases[i].Flows {
			f := &r.Phases[i].Flows[j]
			f.Flow, f.Group = evil, evil
			if f.Stages != nil {
				f.Stages.By, f.Stages.Missing = evil, []string{evil}
			}
		}
	}
	return Report{Results: []convergence.Result{r, r}, Reproduce: evil}
}

func TestHostileText(t *testing.T) {
	for _, f := range Formats() {
		for _, r := range written(t, f.Name, hostile()) {
			// JSON is data: it keeps what is printable to no terminal, escaped if it is a control.
			if r != '\n' && !unicode.IsPrint(r) && (f.Name != "json" || unicode.IsControl(r)) {
				t.Errorf("%s: control character %q", f.Name, r)
				break
			}
		}
	}
}

func TestHostileJSON(t *testing.T) {
	var back []convergence.Result
	if err := json.Unmarshal([]byte(written(t, "json", hostile())), &back); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(evil, "\ufffd"); back[0].Scenario != want {
		t.Errorf("%q became %q", want, back[0].Scenario)
	}
}

func TestHostileXML(t *testing.T) {
	d := xml.NewDecoder(strings.NewReader(written(t, "junit", hostile())))
	known := map[string]bool{"testsuites": true, "testsuite": true, "properties": true, "property": true,
		"testcase": true, "failure": true, "error": true, "skipped": true, "system-out": true}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && !known[e.Name.Local] {
			t.Errorf("element %s", e.Name.Local)
		}
	}
}

// In Markdown every special character of the text is escaped, a table's row
// stays one line with its number of cells, and a fence is not closed early.
func TestHostileMarkdown(t *testing.T) {
	text := written(t, "markdown", hostile())
	body, code, _ := strings.Cut(text, "### Reproduce")
	body = regexp.MustCompile(`\\[[:punct:]]`).ReplaceAllString(body, "")
	for _, mark := range []string{"<", "\n# h", "**", "](", "`", "$", "~~"} {
		if strings.Contains(body, mark) {
			t.Errorf("text became markup: %q", mark)
		}
	}
	cells := 0
	for line := range strings.Lines(body) {
		n := strings.Count(line, "|")
		if n != 0 && cells != 0 && n != cells {
			t.Errorf("a row of %d cells in a table of %d: %s", n-1, cells-1, line)
		}
		cells = n
	}
	if strings.Count(code, "````") != 2 {
		t.Errorf("fence: %s", code)
	}
}

func TestPrintable(t *testing.T) {
	if got := printable("a\tb\nc\x1b[0m\u202e é ±"); got != "a b c\ufffd[0m\ufffd é ±" {
		t.Errorf("%q", got)
	}
}
