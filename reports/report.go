package reports

import (
	"io"
	"strings"
	"unicode"

	"gwlab/reports/convergence"
)

// Report is one or several judged runs.
type Report struct {
	Results []convergence.Result // in the order they ran
	// Reproduce is the command that runs the same again.
	Reproduce string
}

// Verdict is that of the worst run.
func (r Report) Verdict() convergence.Verdict {
	worst := convergence.Pass
	for _, result := range r.Results {
		worst = convergence.Worst(worst, result.Verdict)
	}
	return worst
}

// Format is one way to write a report.
type Format struct {
	Name  string
	File  string // in the directory of a run; empty: not saved there
	About string
	Write func(io.Writer, Report) error
}

// Formats lists them all: the only list there is.
func Formats() []Format {
	return []Format{
		{"table", "", "Aligned text for a terminal.", func(w io.Writer, r Report) error { return WriteTable(w, r, false) }},
		{"json", "result.json", "Every number; one run is an object, several are an array.", writeJSON},
		{"junit", "junit.xml", "For CI: a suite for each run, a case for each expectation.", writeJUnit},
		{"markdown", "summary.md", "For people, and for GitHub's job summary.", writeMarkdown},
	}
}

// printable makes text from outside safe for any line of text: what a
// terminal would obey, and invisible or reordering characters, show as U+FFFD.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t' || r == '\r':
			return ' '
		case unicode.IsPrint(r):
			return r
		default:
			return unicode.ReplacementChar
		}
	}, s)
}
