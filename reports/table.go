package reports

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"gwlab/reports/convergence"
)

// WriteTable writes the report for a terminal. Ask for colour only if w is one.
func WriteTable(w io.Writer, r Report, colour bool) error {
	var b strings.Builder
	for i := range r.Results {
		writeResult(&b, &r.Results[i], colour)
	}
	if len(r.Results) > 1 {
		writeOverview(&b, r, colour)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func writeResult(b *strings.Builder, r *convergence.Result, colour bool) {
	fmt.Fprintf(b, "%s  %s\n", paint(r.Verdict, colour), printable(title(r)))
	if r.About != "" {
		fmt.Fprintf(b, "  %s\n", printable(r.About))
	}
	for _, reason := range r.Reasons {
		fmt.Fprintf(b, "  ! %s\n", printable(reason))
	}
	rows := [][]string{{"phase", "expectation", "value", "limit", "verdict"}}
	for _, c := range r.Checks {
		rows = append(rows, []string{c.Phase, c.Text, c.Value, c.Limit, string(c.Verdict)})
	}
	if len(r.Checks) > 0 {
		writeRows(b, rows, colour)
	}
	for _, c := range r.Checks {
		if c.Reason != "" {
			fmt.Fprintf(b, "  %s: %s\n", printable(c.Text), printable(c.Reason))
		}
	}
	for i := range r.Phases {
		writeWaterfall(b, &r.Phases[i])
	}
	fmt.Fprintf(b, "  tester: %s\n\n", health(r.Health))
}

// writeWaterfall says where the time of a phase's darkest flow went.
func writeWaterfall(b *strings.Builder, p *convergence.PhaseResult) {
	f := darkest(p)
	if f == nil {
		return
	}
	fmt.Fprintf(b, "  %s: %s dark %s", printable(p.Phase), printable(f.Flow), loc(f))
	if s := f.Stages; s != nil {
		fmt.Fprintf(b, "; converged in %s = detect %s | decide %s | signal %s | program %s | residual %s",
			plain(f.RouteSpecific), plain(s.Detect), plain(s.Decide), plain(s.Signal), plain(s.Program), plain(s.Residual))
		if s.By != "" {
			fmt.Fprintf(b, ", repaired by %s", printable(s.By))
		}
		if len(s.Missing) > 0 {
			fmt.Fprintf(b, " (no evidence of %s)", printable(strings.Join(s.Missing, ", ")))
		}
	}
	b.WriteByte('\n')
}

func writeOverview(b *strings.Builder, r Report, colour bool) {
	rows := [][]string{{"scenario", "gateway", "phase", "darkest flow", "full convergence", "verdict"}}
	for i := range r.Results {
		result := &r.Results[i]
		phase, dark, full := "", "–", "–"
		for j := range result.Phases {
			if p := &result.Phases[j]; p.Event != 0 {
				phase, dark, full = p.Phase, figure(result, p.Phase, "route_loc", convergence.Max), figure(result, p.Phase, "full_convergence", convergence.Max)
				break
			}
		}
		rows = append(rows, []string{fmt.Sprintf("%s #%d", result.Scenario, result.Repeat), result.Gateway, phase, dark, full, string(result.Verdict)})
	}
	writeRows(b, rows, colour)
	fmt.Fprintf(b, "%s  %d runs\n", paint(r.Verdict(), colour), len(r.Results))
}

// writeRows aligns the cells of a table; the last column is verdicts.
func writeRows(b *strings.Builder, rows [][]string, colour bool) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i := range row {
			row[i] = printable(row[i])
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	for n, row := range rows {
		b.WriteByte(' ')
		for i, cell := range row {
			b.WriteByte(' ')
			switch {
			case i < len(row)-1:
				b.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)) + " ")
			case n > 0:
				b.WriteString(paintText(cell, convergence.Verdict(cell), colour))
			default:
				b.WriteString(cell)
			}
		}
		b.WriteByte('\n')
	}
}

func paint(v convergence.Verdict, colour bool) string {
	return paintText(strings.ToUpper(printable(string(v))), v, colour)
}

func paintText(text string, v convergence.Verdict, colour bool) string {
	if !colour {
		return text
	}
	code := "31" // red
	switch v {
	case convergence.Pass:
		code = "32" // green
	case convergence.Regressed:
		code = "33" // yellow
	case convergence.Invalid:
		code = "35" // magenta
	case convergence.Fail:
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
