package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"gwlab/fault"
	"gwlab/lab"
	"gwlab/lab/proc"
	"gwlab/reports"
	"gwlab/reports/convergence"
	"gwlab/scenarios/engine"
	"gwlab/topologies"
)

// screen is an app that writes into memory.
func screen() (a *app, out, bad *bytes.Buffer) {
	out, bad = &bytes.Buffer{}, &bytes.Buffer{}
	a = newApp(strings.NewReader(""), out, bad)
	a.output = "table"
	return a, out, bad
}

func TestEachErrorIsALine(t *testing.T) {
	place := errors.New("dir/x.topo.yaml:3:14: unknown kind")
	tests := []struct {
		err  error
		want string
	}{
		{errors.New("no lab"), "gwlab: no lab\n"},
		{place, "dir/x.topo.yaml:3:14: unknown kind\n"},
		{errors.Join(errors.New("one"), place, errors.New("two\n")), "gwlab: one\ndir/x.topo.yaml:3:14: unknown kind\ngwlab: two\n"},
		{fmt.Errorf("run 12:30:1: late"), "gwlab: run 12:30:1: late\n"},
	}
	for _, tt := range tests {
		a, _, bad := screen()
		if a.complain(tt.err); bad.String() != tt.want {
			t.Errorf("\n got %q\nwant %q", bad, tt.want)
		}
	}
}

func TestExitCodes(t *testing.T) {
	running := context.Background()
	signalled, cancel := context.WithCancel(running)
	cancel()
	plain := errors.New("no space left")
	_, refusal := lab.Attach(running, "a/b")
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"refused", labError(running, fmt.Errorf("up: %w", refusal)), exitBadInput},
		{"refused, then a signal", labError(signalled, refusal), exitBadInput},
		{"broken", labError(running, plain), exitBroken},
		{"signal", labError(signalled, context.Canceled), exitInvalid},
		{"bad input that broke something", broken(badInput(plain)), exitBadInput},
		{"broken later, too", errors.Join(coded{exitInvalid, plain}, broken(plain)), exitInvalid},
	}
	for _, tt := range tests {
		var c coded
		if !errors.As(tt.err, &c) || c.code != tt.want {
			t.Errorf("%s: %v has exit code %d, want %d", tt.name, tt.err, c.code, tt.want)
		}
	}
	if labError(running, nil) != nil || broken(nil) != nil || badInput(nil) != nil {
		t.Error("an error of nothing")
	}
}

func result(scenario, gateway string, repeat int, v convergence.Verdict, ms int64, known bool) convergence.Result {
	return convergence.Result{Scenario: scenario, Gateway: gateway, Repeat: repeat, Verdict: v, Checks: []convergence.Check{
		{Phase: "failure", Text: "route_loc max", Limit: "≤ 165ms", Value: fmt.Sprintf("%d.0 ms", ms), Measured: ms * 1e6, Known: known},
	}}
}

func TestConclude(t *testing.T) {
	a, out, _ := screen()
	r := runner{app: a, o: runOptions{seed: 7}, results: []convergence.Result{
		result("UPLINK-01", "gatewayd", 1, convergence.Pass, 9, true),
		result("UPLINK-02", "gatewayd", 1, convergence.Pass, 120, true),
		result("UPLINK-01", "frr", 1, convergence.Fail, 331, true),
		result("UPLINK-01", "gatewayd", 2, convergence.Pass, 1, true),
		result("UPLINK-01", "gatewayd", 3, convergence.Invalid, 4, true),
		result("UPLINK-02", "gatewayd", 2, convergence.Pass, 0, false),
	}}
	var c coded
	if err := r.conclude(); !errors.As(err, &c) || c.code != exitInvalid || !errors.Is(err, errVerdict) {
		t.Errorf("error is %v", err)
	}
	want := `SCENARIO   GATEWAY   VERDICT  RUNS  PHASE    EXPECTED       LIMIT    MEDIAN    MAX
UPLINK-01  gatewayd  invalid  3     failure  route_loc max  ≤ 165ms  4.0 ms    9.0 ms
UPLINK-02  gatewayd  pass     2     failure  route_loc max  ≤ 165ms  -         no data
UPLINK-01  frr       fail     1     failure  route_loc max  ≤ 165ms  331.0 ms  331.0 ms

6 runs: 4 pass, 1 fail, 1 invalid (seed 7)
`
	if out.String() != want {
		t.Errorf("\n got\n%s\nwant\n%s", out, want)
	}
}

// A check that only one of the repeats has, is in the table all the same.
func TestConcludeShowsWhatDidNotConverge(t *testing.T) {
	a, out, _ := screen()
	lost := result("UPLINK-01", "gatewayd", 2, convergence.Fail, 9, true)
	lost.Checks = append(lost.Checks, convergence.Check{Phase: "repaired", Text: "converged", Limit: "in time", Value: "no", Verdict: convergence.Fail})
	r := runner{app: a, results: []convergence.Result{result("UPLINK-01", "gatewayd", 1, convergence.Pass, 9, true), lost}}
	if err := r.conclude(); err == nil || !strings.Contains(out.String(), "repaired  converged      in time") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Runs in the same directory that end together each name themselves the
// latest, and one of them wins.
func TestLatestOfRunsThatEndTogether(t *testing.T) {
	root := t.TempDir()
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			a, _, _ := screen()
			dir := filepath.Join(root, fmt.Sprintf("run-%02d", i))
			if err := errors.Join(os.Mkdir(dir, 0o755), (&runner{app: a}).announce(reports.Report{}, dir)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if latest, err := os.Readlink(filepath.Join(root, "latest")); err != nil || !strings.HasPrefix(latest, "run-") {
		t.Errorf("latest is %q, %v", latest, err)
	}
	if left := files(t, root); len(left) != 22 { // the root, the runs, the link
		t.Errorf("left: %v", left)
	}
}

func TestExitCodeOfVerdicts(t *testing.T) {
	const p, g, f, i = convergence.Pass, convergence.Regressed, convergence.Fail, convergence.Invalid
	for want, all := range map[int][][]convergence.Verdict{
		exitPass: {{p}, {p, p}}, exitFail: {{f}, {p, g}, {g, f, p}}, exitInvalid: {{i}, {p, i, f}},
	} {
		for _, verdicts := range all {
			var r runner
			for _, v := range verdicts {
				r.results = append(r.results, convergence.Result{Verdict: v})
			}
			got := exitPass
			var c coded
			if errors.As(r.exit(), &c) {
				got = c.code
			}
			if got != want {
				t.Errorf("%v: exit code %d, want %d", verdicts, got, want)
			}
		}
	}
}

func TestProgressOnATerminalAndElsewhere(t *testing.T) {
	steps := func(p *progress) {
		for i := range 3 {
			p.lab(lab.Progress{Stage: "links", Done: i + 1, Total: 3, Text: fmt.Sprintf("%d links", i+1)})
		}
		p.lab(lab.Progress{Stage: "polish", Text: "shine"})
		p.label = "UPLINK-02 gatewayd"
		p.engine(engine.Notice{At: -1, Text: "warming up"})
		p.engine(engine.Notice{At: 1.26e9, Phase: "failure", Text: "link.cut"})
		p.done()
		p.done()
	}
	a, _, bad := screen()
	steps(a.newProgress())
	want := "laying cables\npolish\nUPLINK-02 gatewayd                  warming up\nUPLINK-02 gatewayd   1.3s failure   link.cut\n"
	if bad.String() != want {
		t.Errorf("elsewhere:\n got %q\nwant %q", bad, want)
	}
	a, _, bad = screen()
	a.terminal = true
	steps(a.newProgress())
	if got := bad.String(); strings.Contains(got, "\n") || !strings.HasSuffix(got, "link.cut\r\x1b[2K") || strings.Count(got, "\r\x1b[2K") != 7 {
		t.Errorf("on a terminal: %q", got)
	}
}

func TestShowStatus(t *testing.T) {
	healthy := fault.CableState{AtoB: fault.PassAll, BtoA: fault.PassAll, Carrier: true}
	dark := healthy
	dark.AtoB = fault.PassNone
	a, out, _ := screen()
	a.showStatus(lab.Status{
		Info: lab.Info{Name: "l", Topology: "pair", State: lab.Running}, Pending: []string{"gw1: bgp isp/ipv4: Active", "gw2: powered off"},
		NodeStatus: []lab.NodeStatus{
			{Name: "gw1", Kind: "gateway", ASN: 65000, Powered: true, Processes: []proc.Status{{Name: "gatewayd", Pid: 7}, {Name: "x", State: "ended"}},
				Ports:    []lab.PortStatus{{Name: "isp", Peer: "isp:gw1", Carrier: true}, {Name: "tor", Peer: "tor:gw1"}},
				Sessions: []lab.SessionStatus{{Protocol: "bfd", Peer: "198.18.0.1", State: "up"}, {Protocol: "bgp", Peer: "198.18.0.1", Name: "isp/ipv4", State: "Established", Prefixes: 2}, {Protocol: "bgp", Peer: "fd00::1", Name: "isp/ipv6", State: "Active"}}},
			{Name: "gw2", Kind: "gateway"},
		},
		Links: []lab.LinkStatus{
			{A: "gw1:isp", B: "isp:gw1", Type: "cable", State: dark, AtoB: fault.Counters{Dropped: 5}},
			{A: "gw1:tor", B: "tor:gw1", Type: "cable", State: healthy},
			{A: "gw1:gw2", B: "gw2:gw1", Type: "veth"},
		},
	})
	for _, want := range []string{
		"lab l (pair), up: waiting for gw1: bgp isp/ipv4: Active, gw2: powered off\n",
		"gw1   gateway  65000  isp ", "tor (no carrier)", "gatewayd (pid 7), x (ended)",
		"gw2   gateway  -      -                 -        -          powered off\n",
		"gw1   isp/ipv4  198.18.0.1  Established  2         up\n",
		"gw1   isp/ipv6  fd00::1     Active       0         -\n",
		"gw1:isp -- isp:gw1  true     ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out.String(), "gw1:tor -- ") || strings.Contains(out.String(), "gw1:gw2 -- ") {
		t.Errorf("healthy links are shown:\n%s", out)
	}
}

func TestRunsOfSeveralImplementationsTakeTurns(t *testing.T) {
	a, _, _ := screen()
	todo, err := selectScenarios(false, []string{"UPLINK-01", "INTEROP-01", "UPLINK-02"})
	if err != nil {
		t.Fatal(err)
	}
	for gateways, want := range map[string]string{
		"gatewayd":  "gatewayd/dual-isp×2 gatewayd/dual-isp-interop×1",
		"frr, bird": "frr/dual-isp×2 frr/dual-isp-interop×1 bird/dual-isp×2 bird/dual-isp-interop×1 | frr/dual-isp×2 frr/dual-isp-interop×1 bird/dual-isp×2 bird/dual-isp-interop×1",
	} {
		r, err := newRunner(a, runOptions{gateway: gateways, repeat: 2, seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		rounds, err := r.plan(todo)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, round := range rounds {
			if i > 0 {
				got = append(got, "|")
			}
			for _, b := range round {
				got = append(got, fmt.Sprintf("%s/%s×%d", b.gateway, b.topology.Name, len(b.scenarios)))
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s:\n got %s\nwant %s", gateways, strings.Join(got, " "), want)
		}
	}
}

func TestSuggestedCommandsAreCalledAsThisOneWas(t *testing.T) {
	for user, want := range map[string]string{"": os.Args[0], "ann": "sudo " + os.Args[0]} {
		t.Setenv("SUDO_USER", user)
		if got := called(); got != want {
			t.Errorf("SUDO_USER=%s: %q, want %q", user, got, want)
		}
	}
}

func TestRunLabsHaveValidNames(t *testing.T) {
	longest := strings.Repeat("n", 32) // the longest name of a topology
	if _, err := topologies.Parse("x", []byte(strings.Replace(tiny, prefix, longest, 1))); err != nil {
		t.Fatal(err)
	}
	_, err := lab.Attach(t.Context(), fmt.Sprintf("%s-%d", longest, 4194304)) // the highest process id
	var refused lab.Refusal
	if err == nil || errors.As(err, &refused) {
		t.Errorf("a run of a topology with a long name could not name its lab: %v", err)
	}
}
