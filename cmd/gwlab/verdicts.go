package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"gwlab/reports"
	"gwlab/reports/convergence"
)

// announce prints a finished run, and lets "latest" name its record.
func (r *runner) announce(report reports.Report, dir string) error {
	// Replaced in one step: another run may end at the same time.
	link := dir + ".latest"
	err := os.Symlink(filepath.Base(dir), link)
	if err == nil {
		err = os.Rename(link, filepath.Join(filepath.Dir(dir), "latest"))
	}
	if err != nil {
		return broken(fmt.Errorf("name the latest run: %w", err))
	}
	if r.app.output == "json" {
		return nil
	}
	if err := reports.WriteTable(r.app.out, report, r.app.terminal); err != nil {
		return broken(err)
	}
	return nil
}

// group is the runs of one scenario with one implementation.
type group struct {
	scenario, gateway string
	results           []convergence.Result
}

func (r *runner) groups() []group {
	var out []group
	for _, result := range r.results {
		i := slices.IndexFunc(out, func(g group) bool { return g.scenario == result.Scenario && g.gateway == result.Gateway })
		if i < 0 {
			i = len(out)
			out = append(out, group{scenario: result.Scenario, gateway: result.Gateway})
		}
		out[i].results = append(out[i].results, result)
	}
	return out
}

// conclude prints the verdict table and turns the worst verdict into the
// exit code.
func (r *runner) conclude() error {
	if r.app.output == "json" {
		if err := r.app.json(r.results); err != nil {
			return err
		}
		return r.exit()
	}
	if len(r.results) == 1 {
		return r.exit()
	}
	w := r.app.table()
	fmt.Fprintln(w, "SCENARIO\tGATEWAY\tVERDICT\tRUNS\tPHASE\tEXPECTED\tLIMIT\tMEDIAN\tMAX")
	for _, g := range r.groups() {
		scenario, gateway, verdict, runs := g.scenario, g.gateway, string(worstVerdict(g.results)), fmt.Sprint(len(g.results))
		// A run that failed to converge has a check more than the others.
		longest := slices.MaxFunc(g.results, func(a, b convergence.Result) int { return len(a.Checks) - len(b.Checks) })
		for i, c := range longest.Checks {
			median, top := spread(g.results, i)
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", scenario, gateway, verdict, runs, c.Phase, c.Text, c.Limit, median, top)
			scenario, gateway, verdict, runs = "", "", "", ""
		}
	}
	w.Flush()
	fmt.Fprintf(r.app.out, "\n%d runs: %s (seed %d)\n", len(r.results), tally(r.results), r.o.seed)
	return r.exit()
}

// spread is the median and the worst value of one check over repeats.
func spread(results []convergence.Result, check int) (median, top string) {
	var known []convergence.Check
	for _, res := range results {
		if check < len(res.Checks) && res.Checks[check].Known {
			known = append(known, res.Checks[check])
		}
	}
	if len(known) < len(results) || len(known) == 0 {
		return "-", "no data"
	}
	slices.SortFunc(known, func(a, b convergence.Check) int { return int(a.Measured - b.Measured) })
	return known[(len(known)-1)/2].Value, known[len(known)-1].Value
}

func worstVerdict(results []convergence.Result) convergence.Verdict {
	out := convergence.Pass
	for _, r := range results {
		out = convergence.Worst(out, r.Verdict)
	}
	return out
}

func tally(results []convergence.Result) string {
	var out []string
	for _, v := range []convergence.Verdict{convergence.Pass, convergence.Regressed, convergence.Fail, convergence.Invalid} {
		n := 0
		for _, r := range results {
			if r.Verdict == v {
				n++
			}
		}
		if n > 0 {
			out = append(out, fmt.Sprintf("%d %s", n, v))
		}
	}
	return strings.Join(out, ", ")
}

func (r *runner) exit() error {
	switch worstVerdict(r.results) {
	case convergence.Pass:
		return nil
	case convergence.Invalid:
		return coded{exitInvalid, errVerdict}
	case convergence.Regressed, convergence.Fail:
	}
	return coded{exitFail, errVerdict}
}

func splitList(s string) []string {
	var out []string
	for _, item := range strings.Split(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			out = append(out, item)
		}
	}
	return out
}

// environment is what a reader needs to believe, or repeat, a figure.
func environment(o runOptions) map[string]string {
	var u unix.Utsname
	kernel := "unknown"
	if unix.Uname(&u) == nil {
		kernel = string(bytes.TrimRight(u.Release[:], "\x00"))
	}
	model := "unknown"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for _, line := range strings.Split(string(text), "\n") {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				model = strings.TrimSpace(value)
				break
			}
		}
	}
	return map[string]string{
		"kernel": kernel, "arch": runtime.GOARCH, "cpus": fmt.Sprint(runtime.NumCPU()), "cpu": model,
		"gwlab": version(), "go": runtime.Version(), "set": strings.Join(o.set, " "),
	}
}
