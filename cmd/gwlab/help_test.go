package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// visible are the commands that the help shows.
func visible(t *testing.T) []*cobra.Command {
	t.Helper()
	var all []*cobra.Command
	for _, c := range newApp(nil, &bytes.Buffer{}, &bytes.Buffer{}).root().Commands() {
		if !c.Hidden {
			all = append(all, c)
		}
	}
	return all
}

func TestEveryCommandHasHelp(t *testing.T) {
	var names []string
	for _, c := range visible(t) {
		names = append(names, c.Name())
		if c.Short == "" || strings.HasSuffix(c.Short, ".") {
			t.Errorf("%s: the short help is %q: want a phrase without a full stop", c.Name(), c.Short)
		}
		if !strings.HasPrefix(c.Example, "  gwlab "+c.Name()) {
			t.Errorf("%s: the example is %q: want a line like %q", c.Name(), c.Example, "  gwlab "+c.Name())
		}
		got := gwlab(t, t.TempDir(), c.Name(), "--help")
		if got.code != 0 || got.err != "" || !strings.Contains(got.out, "Examples:\n"+c.Example) || !strings.Contains(got.out, "Usage:") {
			t.Errorf("gwlab %s --help: exit code %d\n%s%s", c.Name(), got.code, got.out, got.err)
		}
	}
	want := "doctor down exec list report run status sweep up validate version"
	if slices.Sort(names); strings.Join(names, " ") != want {
		t.Errorf("visible commands:\n got %v\nwant %s", names, want)
	}
}

func TestHelpIsForTheScreen(t *testing.T) {
	for _, args := range [][]string{{}, {"--help"}, {"help"}} {
		got := gwlab(t, t.TempDir(), args...)
		if got.code != 0 || got.err != "" {
			t.Errorf("gwlab %v: exit code %d, %s", args, got.code, got.err)
		}
		for _, hidden := range []string{"supervise", "node-init", "probe", "completion"} {
			if strings.Contains(got.out, "  "+hidden) {
				t.Errorf("gwlab %v shows %s", args, hidden)
			}
		}
	}
}

// TestExamples runs the example of every command, in an order in which a
// user could.
func TestExamples(t *testing.T) {
	needRoot(t)
	for _, lab := range []string{"pair", "dual-isp"} {
		if _, err := os.Stat("/run/gwlab/" + lab); err == nil {
			t.Skipf("lab %s is up, and the examples use this name: gwlab down %s", lab, lab)
		}
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		for _, lab := range []string{"pair", "dual-isp"} {
			must(t, dir, "down", lab)
			gone(t, lab)
		}
	})
	left := map[string]string{}
	for _, c := range visible(t) {
		left[c.Name()] = strings.TrimSpace(c.Example)
	}
	example := func(name string, more ...string) ended {
		t.Helper()
		line := left[name]
		delete(left, name)
		got := gwlab(t, dir, append(strings.Fields(line)[1:], more...)...)
		if got.code != 0 && name != "run" && name != "report" {
			t.Fatalf("%s: exit code %d\n%s%s", line, got.code, got.out, got.err)
		}
		return got
	}
	example("version")
	example("doctor")
	example("validate")
	example("list")
	if got := example("up"); !strings.Contains(got.out, "every session is up") {
		t.Errorf("up:\n%s", got.out)
	}
	must(t, dir, "up", "-t", "dual-isp")
	example("status")
	if got := example("exec"); !strings.Contains(got.out, "gatewayd") {
		t.Errorf("exec:\n%s", got.out)
	}
	example("down")
	must(t, dir, "down", "dual-isp")
	ran := example("run", "--repeat", "1")
	if !hasVerdict(ran) {
		t.Errorf("run: exit code %d\n%s%s", ran.code, ran.out, ran.err)
	}
	if got := example("report"); !hasVerdict(got) || got.code != ran.code {
		t.Errorf("report: exit code %d, the run had %d\n%s%s", got.code, ran.code, got.out, got.err)
	}
	example("sweep")
	if len(left) > 0 {
		t.Errorf("examples that were not run: %v", left)
	}
	if records, err := filepath.Glob(dir + "/runs/*/*/summary.md"); err != nil || len(records) != 2 { // one of them by "latest"
		t.Errorf("records: %v, %v", records, err)
	}
}

// hasVerdict tells whether a run came to its end. Which verdict it was says
// something of this machine too, and is not for a test to want.
func hasVerdict(e ended) bool {
	for code, verdict := range map[int]string{0: "PASS", 1: "FAIL", 3: "INVALID"} {
		if e.code == code && strings.HasPrefix(e.out, verdict) {
			return true
		}
	}
	return false
}

// TestNextStepsWork types what `up` says to type next.
func TestNextStepsWork(t *testing.T) {
	t.Setenv("SUDO_USER", "")
	name, dir := labName(t, "next"), desk(t)
	self := filepath.Join(built, "gwlab") + " "
	out := must(t, dir, "up", "-t", "small.topo.yaml", "--name", name)
	_, next, found := strings.Cut(out, "What next:\n")
	if !found {
		t.Fatalf("up says nothing of what is next:\n%s", out)
	}
	var steps []string
	for line := range strings.Lines(next) {
		step, _, _ := strings.Cut(strings.TrimSpace(line), "  ") // the rest explains it
		steps = append(steps, step)
		if got := gwlab(t, dir, strings.Fields(strings.TrimPrefix(step, self))...); got.code != 0 {
			t.Errorf("%s: exit code %d\n%s%s", step, got.code, got.out, got.err)
		}
	}
	if again := must(t, dir, "down", name); again != "no lab "+name+" was up\n" {
		t.Errorf("a second down says %q", again)
	}
	if len(steps) < 4 || !strings.HasPrefix(steps[len(steps)-1], self+"down ") {
		t.Errorf("next steps: %q", steps)
	}
	gone(t, name)
}
