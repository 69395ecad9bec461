package main

import (
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"

	"gwlab/lab"
	"gwlab/scenarios/engine"
)

// progress tells what goes on: one line that is rewritten on a terminal,
// plain lines elsewhere. It goes to the error stream, so that what is printed
// can be piped.
type progress struct {
	out   io.Writer
	live  bool
	label string
	last  string
	drawn bool
}

func (a *app) newProgress() *progress { return &progress{out: a.err, live: a.terminal} }

// stages say in words what the stages of lab.Progress do.
var stages = map[string]string{
	"namespaces": "making namespaces", "links": "laying cables", "nodes": "starting nodes",
	"ready": "waiting for every session", "stop": "stopping nodes", "remove": "removing namespaces",
}

// lab shows a step of building or taking down.
func (p *progress) lab(s lab.Progress) {
	doing := stages[s.Stage]
	if doing == "" {
		doing = s.Stage
	}
	if p.live {
		if s.Total > 0 {
			doing += fmt.Sprintf(" %d/%d", s.Done, s.Total)
		}
		p.draw(doing + "  " + s.Text)
		return
	}
	// Elsewhere one line a stage is enough.
	if s.Stage != p.last {
		p.last = s.Stage
		fmt.Fprintln(p.out, doing)
	}
}

// engine shows a step of a scenario.
func (p *progress) engine(n engine.Notice) {
	at := "      "
	if n.At >= 0 {
		at = fmt.Sprintf("%5.1fs", n.At.Seconds())
	}
	text := fmt.Sprintf("%s %s %-9s %s", p.label, at, n.Phase, n.Text)
	if p.live {
		p.draw(text)
		return
	}
	fmt.Fprintln(p.out, text)
}

func (p *progress) draw(text string) {
	fmt.Fprintf(p.out, "\r\x1b[2K%s", text)
	p.drawn = true
}

// done clears the live line.
func (p *progress) done() {
	if p.drawn {
		fmt.Fprint(p.out, "\r\x1b[2K")
		p.drawn = false
	}
	p.last = ""
}

func (a *app) table() *tabwriter.Writer { return tabwriter.NewWriter(a.out, 0, 4, 2, ' ', 0) }

func (a *app) json(v any) error {
	enc := json.NewEncoder(a.out)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
