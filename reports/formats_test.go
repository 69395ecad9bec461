package reports

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"reflect"
	"strings"
	"testing"

	"gwlab/reports/convergence"
)

func TestFormatsAreDistinct(t *testing.T) {
	names, files := map[string]bool{}, map[string]bool{}
	for _, f := range Formats() {
		if f.Name == "" || f.About == "" || f.Write == nil || names[f.Name] || f.File != "" && files[f.File] {
			t.Errorf("%+v", f)
		}
		names[f.Name], files[f.File] = true, true
	}
}

// broken refuses everything.
type broken struct{}

var errBroken = errors.New("broken")

func (broken) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteErrorsAreTold(t *testing.T) {
	for _, f := range Formats() {
		if err := f.Write(broken{}, handMadeReport()); !errors.Is(err, errBroken) {
			t.Errorf("%s: %v", f.Name, err)
		}
	}
}

// result.json is the result, field by field.
func TestJSONRoundTrip(t *testing.T) {
	var back convergence.Result
	if err := json.Unmarshal([]byte(written(t, "json", handMadeReport())), &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back, judged()) {
		t.Errorf("%+v", back)
	}
}

func junit(t *testing.T, results ...convergence.Result) junitSuites {
	t.Helper()
	var s junitSuites
	if err := xml.Unmarshal([]byte(written(t, "junit", Report{Results: results})), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// An invalid run is one error and no failure: its checks are skipped.
func TestJUnitOfAnInvalidRun(t *testing.T) {
	invalid := judged()
	invalid.Verdict, invalid.Reasons = convergence.Invalid, []string{"no packets were sent", "link.cut was not confirmed"}
	s := junit(t, invalid, judged())
	if s.Tests != 8 || s.Errors != 1 || s.Failures != 1 {
		t.Errorf("%d tests, %d errors, %d failures", s.Tests, s.Errors, s.Failures)
	}
	first := s.Suites[0]
	if first.Errors != 1 || first.Failures != 0 || first.Skipped != 3 || first.Cases[0].Error == nil ||
		first.Cases[0].Error.Message != "no packets were sent; link.cut was not confirmed" {
		t.Errorf("%+v", first)
	}
}

func TestJUnitVerdicts(t *testing.T) {
	r := judged()
	r.Checks = []convergence.Check{{Verdict: convergence.Pass}, {Verdict: convergence.Regressed}, {Verdict: convergence.Fail}, {Verdict: convergence.Invalid}}
	s := junit(t, r).Suites[0]
	for i, want := range []string{"", "", "failure", "failure", "error"} {
		got := ""
		switch c := s.Cases[i]; {
		case c.Failure != nil:
			got = "failure"
		case c.Error != nil:
			got = "error"
		}
		if got != want {
			t.Errorf("case %d: %q, want %q", i, got, want)
		}
	}
}

func TestMarkdownOfAQuietRun(t *testing.T) {
	run := handMade()
	for i := range run.Flows[0].Received {
		run.Flows[0].Received[i] = run.Flows[0].Sent[i] + 1
	}
	run.Injections[0].Confirmed, run.Injections[0].Error = false, "no drops"
	run.Phases = append(run.Phases, convergence.Phase{Name: "terminator", Start: 400 * ms, End: 400 * ms})
	run.Environment["set"] = ""
	r := convergence.Analyze(run, convergence.Options{})
	convergence.Conclude(&r, run, nil, convergence.Validity(run, convergence.Options{}))
	text := written(t, "markdown", Report{Results: []convergence.Result{r}})
	for _, want := range []string{"## INVALID", "was not confirmed: no drops", "No flow lost a packet.", "not confirmed no drops", "0.0 ms ±1.0"} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %q:\n%s", want, text)
		}
	}
	for _, not := range []string{"terminator", "| set |", "### Reproduce"} {
		if strings.Contains(text, not) {
			t.Errorf("has %q", not)
		}
	}
}

func TestFigures(t *testing.T) {
	r := judged()
	for _, c := range []struct{ phase, metric, want string }{
		{"failure", "route_loc", "128.0 ms ±1.0"}, {"failure", "loss", "128"}, {"steady", "full_convergence", "–"},
		{"absent", "loss", "–"}, {"failure", "nonsense", "–"},
	} {
		if got := figure(&r, c.phase, c.metric, convergence.Max); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.phase, c.metric, got, c.want)
		}
	}
	if darkest(&r.Phases[0]) != nil || darkest(&r.Phases[1]).Flow != "out/0" {
		t.Error("darkest flow")
	}
	h := health(convergence.Health{CPUPressure: -1, Overruns: 2, NoBuffers: 3})
	if !strings.Contains(h, "pressure unknown") || !strings.Contains(h, "not real-time") || !strings.Contains(h, "overruns 5") {
		t.Error(h)
	}
}
