package strictyaml

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one thing wrong with a document, and how to mend it.
type Error struct {
	File         string
	Line, Column int // from 1
	Msg          string
}

// Error returns "file:line:column: msg".
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Msg)
}

// Errors is everything wrong with a document.
type Errors []*Error

// Error returns one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap makes each error visible to errors.As.
func (e Errors) Unwrap() []error {
	out := make([]error, len(e))
	for i, one := range e {
		out[i] = one
	}
	return out
}

// Err returns the errors in file order, each once, or nil when there are none.
func (e Errors) Err() error {
	if len(e) == 0 {
		return nil
	}
	sorted := slices.Clone(e)
	slices.SortStableFunc(sorted, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return slices.CompactFunc(sorted, func(a, b *Error) bool { return *a == *b })
}

// Unknown is the message for a name that is not in a list: it suggests the
// closest known name and lists them all.
func Unknown(what, got string, known []string) string {
	msg := fmt.Sprintf("unknown %s %q", what, got)
	if near := closest(got, known); near != "" {
		msg += fmt.Sprintf(", did you mean %q?", near)
	}
	if len(known) == 0 {
		return msg + "; nothing is allowed here"
	}
	return msg + "; known: " + strings.Join(known, ", ")
}

// closest returns the known name a typing slip away from got, or "".
func closest(got string, known []string) string {
	if len(got) > 64 {
		return ""
	}
	best, limit := "", max(1, len(got)/3)
	for _, k := range known {
		if d := distance(strings.ToLower(got), k); d <= limit {
			best, limit = k, d-1
		}
	}
	return best
}

// distance is Levenshtein's, over bytes.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitute := diagonal
			if a[i] != b[j] {
				substitute++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitute, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
