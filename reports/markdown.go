package reports

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"gwlab/reports/convergence"
)

func writeMarkdown(w io.Writer, r Report) error {
	var b strings.Builder
	for i := range r.Results {
		m := markdown{&b, &r.Results[i]}
		m.verdict()
		m.checks()
		m.phases()
		m.flows()
		m.tester()
		m.settings()
	}
	if r.Reproduce != "" {
		fence := "```"
		for strings.Contains(r.Reproduce, fence) {
			fence += "`"
		}
		fmt.Fprintf(&b, "### Reproduce\n\n%s\n%s\n%s\n", fence, printable(r.Reproduce), fence)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write markdown: %w", err)
	}
	return nil
}

// markdown writes the sections of one result.
type markdown struct {
	*strings.Builder
	r *convergence.Result
}

// escape makes text from outside plain in GitHub-flavoured Markdown.
func escape(s string) string {
	var b strings.Builder
	for _, r := range printable(s) {
		if strings.ContainsRune("\\`*_{}[]<>#|&~!$", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// table writes rows of cells that are escaped here.
func (m markdown) table(rows ...[]string) {
	for i, row := range rows {
		m.WriteByte('|')
		for _, cell := range row {
			fmt.Fprintf(m, " %s |", escape(cell))
		}
		m.WriteByte('\n')
		if i == 0 {
			fmt.Fprintf(m, "|%s\n", strings.Repeat(" --- |", len(row)))
		}
	}
	m.WriteByte('\n')
}

func (m markdown) verdict() {
	fmt.Fprintf(m, "## %s: %s\n\n", escape(strings.ToUpper(string(m.r.Verdict))), escape(title(m.r)))
	if m.r.About != "" {
		fmt.Fprintf(m, "%s\n\n", escape(m.r.About))
	}
	for _, reason := range m.r.Reasons {
		fmt.Fprintf(m, "- %s\n", escape(reason))
	}
	if len(m.r.Reasons) > 0 {
		m.WriteByte('\n')
	}
}

func (m markdown) checks() {
	if len(m.r.Checks) == 0 {
		return
	}
	rows := [][]string{{"Phase", "Expectation", "Value", "Limit", "Verdict", "Reason"}}
	for _, c := range m.r.Checks {
		rows = append(rows, []string{c.Phase, c.Text, c.Value, c.Limit, string(c.Verdict), c.Reason})
	}
	m.table(rows...)
}

func (m markdown) phases() {
	m.WriteString("### Phases\n\n")
	rows := [][]string{{"Phase", "Length", "Offered", "Lost", "Late", "Duplicate", "Reordered",
		"Route LoC max", "Route LoC median", "Loss-derived LoC", "First route convergence", "Full convergence"}}
	for i := range m.r.Phases {
		p := &m.r.Phases[i]
		if p.End <= p.Start {
			continue // only marks the end of the timeline
		}
		rows = append(rows, []string{p.Phase, time.Duration(p.End - p.Start).Round(time.Millisecond).String(),
			fmt.Sprint(p.Offered), fmt.Sprint(p.Lost), fmt.Sprint(p.Late), fmt.Sprint(p.Duplicates), fmt.Sprint(p.Reordered),
			figure(m.r, p.Phase, "route_loc", convergence.Max), figure(m.r, p.Phase, "route_loc", convergence.Median),
			plain(p.LossDerivedLoC), figure(m.r, p.Phase, "first_convergence", convergence.Max), figure(m.r, p.Phase, "full_convergence", convergence.Max)})
	}
	m.table(rows...)
	rows = [][]string{{"Done", "Target", "Phase", "Instant ±", "Confirmed by"}}
	for _, in := range m.r.Injections {
		what, evidence := in.Kind, in.Evidence
		if in.Heal {
			what = "heal " + what
		}
		if !in.Confirmed {
			evidence = strings.TrimSpace("not confirmed " + in.Error)
		}
		rows = append(rows, []string{what, in.Target, in.Phase, plain(time.Duration(in.Return - in.Call)), evidence})
	}
	if len(rows) > 1 {
		m.WriteString("### Faults\n\n")
		m.table(rows...)
	}
}

// flows lists the flows that were dark, and where the time went.
func (m markdown) flows() {
	rows := [][]string{{"Phase", "Flow", "Route LoC", "Periods", "Convergence", "Detect", "Decide", "Signal", "Program", "Residual", "Repaired by", "No evidence of"}}
	for _, p := range m.r.Phases {
		for i := range p.Flows {
			f := &p.Flows[i]
			if f.LossPeriods == 0 {
				continue
			}
			row := []string{p.Phase, f.Flow, loc(f), fmt.Sprint(f.LossPeriods), "–", "–", "–", "–", "–", "–", "", ""}
			if s := f.Stages; s != nil {
				row = []string{p.Phase, f.Flow, loc(f), fmt.Sprint(f.LossPeriods), convergence.FormatTime(f.RouteSpecific, f.Uncertainty),
					plain(s.Detect), plain(s.Decide), plain(s.Signal), plain(s.Program), plain(s.Residual), s.By, strings.Join(s.Missing, ", ")}
			}
			rows = append(rows, row)
		}
	}
	if len(rows) == 1 {
		m.WriteString("No flow lost a packet.\n\n")
		return
	}
	m.WriteString("### Flows that were dark\n\n")
	m.table(rows...)
}

func (m markdown) tester() {
	fmt.Fprintf(m, "### Tester\n\n%s.\nAll instants are of one machine's CLOCK\\_MONOTONIC: there is no clock error between nodes.\n\n", escape(health(m.r.Health)))
}

// settings is the block that RFC 6413 section 7 asks for.
func (m markdown) settings() {
	s := m.r.Settings
	m.WriteString("### Settings (RFC 6413 §7)\n\n")
	rows := [][]string{
		{"Setting", "Value"},
		{"Flows", fmt.Sprint(s.Flows)},
		{"Packet size (UDP payload)", fmt.Sprintf("%d bytes", s.PacketSize)},
		{"Offered load", fmt.Sprintf("%d packets per second", s.OfferedLoad)},
		{"Packet Sampling Interval", plain(s.PacketSamplingInterval)},
		{"Forwarding Delay Threshold", plain(s.ForwardingDelayThreshold)},
		{"Sustained Convergence Validation Time", plain(s.SustainedConvergenceValidation)},
		{"Seed", fmt.Sprint(m.r.Seed)},
	}
	for _, key := range slices.Sorted(maps.Keys(m.r.Environment)) {
		if value := m.r.Environment[key]; value != "" {
			rows = append(rows, []string{key, value})
		}
	}
	m.table(rows...)
}
