package reports

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"

	"gwlab/reports/convergence"
)

type junitSuites struct {
	XMLName  xml.Name     `xml:"testsuites"`
	Tests    int          `xml:"tests,attr"`
	Failures int          `xml:"failures,attr"`
	Errors   int          `xml:"errors,attr"`
	Suites   []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name       string          `xml:"name,attr"`
	Tests      int             `xml:"tests,attr"`
	Failures   int             `xml:"failures,attr"`
	Errors     int             `xml:"errors,attr"`
	Skipped    int             `xml:"skipped,attr"`
	Time       string          `xml:"time,attr"`
	Properties []junitProperty `xml:"properties>property"`
	Cases      []junitCase     `xml:"testcase"`
	Output     string          `xml:"system-out"`
}

type junitProperty struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitMessage `xml:"failure"`
	Error   *junitMessage `xml:"error"`
	Skipped *junitMessage `xml:"skipped"`
}

type junitMessage struct {
	Message string `xml:"message,attr"`
}

func writeJUnit(w io.Writer, r Report) error {
	var all junitSuites
	for i := range r.Results {
		s := suiteOf(&r.Results[i])
		all.Tests += s.Tests
		all.Failures += s.Failures
		all.Errors += s.Errors
		all.Suites = append(all.Suites, s)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(all); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

// suiteOf has one case for the validity of the measurement and one for each
// check. The checks of an invalid run are skipped: it makes no statement.
func suiteOf(r *convergence.Result) junitSuite {
	s := junitSuite{Name: printable(title(r)), Output: printable(health(r.Health))}
	var whole time.Duration
	for i := range r.Phases {
		p := &r.Phases[i]
		whole += time.Duration(p.End - p.Start)
		for _, metric := range []string{"route_loc", "full_convergence", "loss"} {
			s.Properties = append(s.Properties, junitProperty{printable(p.Phase) + "." + metric, figure(r, p.Phase, metric, convergence.Max)})
		}
	}
	s.Time = seconds(whole)
	valid := junitCase{Class: printable(r.Scenario), Name: "the measurement is valid", Time: seconds(0)}
	if r.Verdict == convergence.Invalid {
		valid.Error = &junitMessage{printable(strings.Join(r.Reasons, "; "))}
		s.Errors++
	}
	s.Cases = append(s.Cases, valid)
	for _, c := range r.Checks {
		s.add(r, c)
	}
	s.Tests = len(s.Cases)
	return s
}

func (s *junitSuite) add(r *convergence.Result, c convergence.Check) {
	t := junitCase{Class: printable(r.Scenario), Name: printable(fmt.Sprintf("%s / %s %s", c.Phase, c.Text, c.Limit)), Time: seconds(phaseLength(r, c.Phase))}
	message := &junitMessage{printable(strings.TrimSpace(fmt.Sprintf("%s: %s %s", c.Verdict, c.Value, c.Reason)))}
	switch {
	case r.Verdict == convergence.Invalid:
		t.Skipped = &junitMessage{"the measurement is not valid"}
		s.Skipped++
	case c.Verdict == convergence.Fail || c.Verdict == convergence.Regressed:
		t.Failure = message
		s.Failures++
	case c.Verdict == convergence.Invalid:
		t.Error = message
		s.Errors++
	}
	s.Cases = append(s.Cases, t)
}

func phaseLength(r *convergence.Result, phase string) time.Duration {
	for _, p := range r.Phases {
		if p.Phase == phase {
			return time.Duration(p.End - p.Start)
		}
	}
	return 0
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }
