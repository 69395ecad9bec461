package reports

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gwlab/reports/convergence"
)

const ms = int64(time.Millisecond)

func update() bool { return flag.Lookup("update").Value.String() == "true" }

func TestMain(m *testing.M) {
	flag.Bool("update", false, "write the golden files")
	flag.Parse()
	os.Exit(m.Run())
}

// handMade is a run of two flows of 1000 pps over 100 ms of "steady" and 300
// ms of "failure". A silent cut takes effect at 100.020 ms. Flow out/0 is
// dark for the packets of 101..228 ms, flow out/1 never. gw1 finds out at
// 227.020 ms and repairs at 228.520 ms, which takes it 0.500 ms.
func handMade() convergence.Run {
	run := convergence.Run{
		Schema: convergence.SchemaVersion, Scenario: "UPLINK-02", Repeat: 1, Seed: 7,
		Topology: "dual-isp", Gateway: "gatewayd", ScenarioText: "id: UPLINK-02\n", TopologyText: "name: dual-isp\n",
		StartedAt: time.Date(2026, 3, 4, 5, 6, 7, 89e6, time.UTC), End: 400 * ms,
		Environment: map[string]string{"kernel": "6.18", "cpus": "2"},
		Phases: []convergence.Phase{
			{Name: "steady", Start: 0, End: 100 * ms},
			{Name: "failure", Start: 100 * ms, End: 400 * ms, Converged: 329 * ms},
		},
		Injections: []convergence.Injection{{
			Kind: "link.blackhole", Target: "gw1:isp1 -- isp1:gw1", Phase: "failure", Call: 100*ms + 5_000, Return: 100*ms + 20_000,
			Confirmed: true, Evidence: "64 packets dropped in the cable",
		}},
		Health: convergence.Health{
			P99Lateness: 90 * time.Microsecond, WorstLateness: 150 * time.Microsecond, WorstGap: 120 * time.Microsecond,
			RealTime: true, BusyPercent: 26, CPUPressure: 4.5,
		},
		Events: []convergence.Event{
			{T: 227*ms + 20_000, Source: "gatewayd", Node: "gw1", Kind: "bfd.down", Key: "198.18.0.1"},
			{T: 228*ms + 520_000, Source: "gatewayd", Node: "gw1", Kind: "fib.repair", Data: map[string]string{"took_ns": "500000"}},
		},
	}
	for id := range uint16(2) {
		f := convergence.Flow{ID: id, Group: "out", Index: int(id), From: "host1", To: "srv", Family: "ipv4", Interval: time.Millisecond}
		for i := range int64(400) {
			received := i*ms + 60_000
			if id == 0 && i >= 101 && i <= 228 {
				received = 0
			}
			f.Sent, f.Received = append(f.Sent, i*ms), append(f.Received, received)
		}
		run.Flows = append(run.Flows, f)
	}
	return run
}

func judged() convergence.Result {
	run := handMade()
	r := convergence.Analyze(run, convergence.Options{})
	r.About = "The wire between gw1 and isp1 goes dark while carrier stays up."
	convergence.Conclude(&r, run, []convergence.Check{
		{Phase: "steady", Text: "loss max", Value: "0", Limit: "≤ 0", Verdict: convergence.Pass},
		{Phase: "failure", Text: "route_loc [out] max", Value: "128.0 ms ±1.0", Limit: "≤ 165ms", Verdict: convergence.Pass},
		{Phase: "failure", Text: "bfd.down at gw1", Value: "127.015 ms ±0.015", Limit: "≤ 120ms", Verdict: convergence.Fail, Reason: "too late"},
	}, nil)
	return r
}

func handMadeReport() Report {
	return Report{Results: []convergence.Result{judged()}, Reproduce: "gwlab run UPLINK-02 --seed 7"}
}

// The numbers of the goldens, by arithmetic from the description of handMade.
func TestHandMadeNumbers(t *testing.T) {
	r := judged()
	f := r.Phases[1].Flows[0]
	want := convergence.Stages{
		Detect:   127 * time.Millisecond, // 227.020 - 100.020
		Decide:   time.Millisecond,       // 228.520 - 0.500 - 227.020
		Program:  500 * time.Microsecond, // the repair's own time
		Residual: 480 * time.Microsecond, // 229 - 228.520
		By:       "gw1",
	}
	if got := *f.Stages; got.Detect != want.Detect || got.Decide != want.Decide || got.Signal != 0 || got.Program != want.Program || got.Residual != want.Residual || got.By != want.By || len(got.Missing) != 0 {
		t.Errorf("stages %+v", got)
	}
	// 128 packets lost, first good one at 229, event at 100.020; two flows of
	// 1000 pps share the loss.
	if f.Lost != 128 || f.RouteLoC != 128*time.Millisecond || f.Uncertainty != time.Millisecond ||
		f.RouteSpecific != 129*time.Millisecond-20*time.Microsecond || r.Phases[1].LossDerivedLoC != 64*time.Millisecond {
		t.Errorf("flow %+v, loss-derived %v", f, r.Phases[1].LossDerivedLoC)
	}
	// It is back 128.98 ms after the event: in the 129th interval.
	if r.Phases[1].FullConvergence != 129*time.Millisecond || r.Verdict != convergence.Fail {
		t.Errorf("full convergence %v, %s", r.Phases[1].FullConvergence, r.Verdict)
	}
}

func written(t *testing.T, format string, r Report) string {
	t.Helper()
	for _, f := range Formats() {
		if f.Name == format {
			var b bytes.Buffer
			if err := f.Write(&b, r); err != nil {
				t.Fatal(err)
			}
			return b.String()
		}
	}
	t.Fatalf("no format %s", format)
	return ""
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if update() {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs; run with -update and look at the difference\n%s", name, got)
	}
}

func TestGoldens(t *testing.T) {
	for _, f := range Formats() {
		t.Run(f.Name, func(t *testing.T) {
			golden(t, "uplink-02."+f.Name+".golden", written(t, f.Name, handMadeReport()))
		})
	}
}

func TestVerdictOfSeveral(t *testing.T) {
	r := Report{Results: []convergence.Result{{Verdict: convergence.Pass}, {Verdict: convergence.Invalid}, {Verdict: convergence.Fail}}}
	if r.Verdict() != convergence.Invalid || (Report{}).Verdict() != convergence.Pass {
		t.Error(r.Verdict(), (Report{}).Verdict())
	}
}

// Two runs: an overview with the worst verdict; json is an array.
func TestSeveralRuns(t *testing.T) {
	second := judged()
	second.Repeat, second.Verdict, second.Reasons = 2, convergence.Invalid, []string{"no packets were sent"}
	r := Report{Results: []convergence.Result{judged(), second}}
	table := written(t, "table", r)
	for _, want := range []string{"FAIL  UPLINK-02 #1", "INVALID  UPLINK-02 #2", "! no packets were sent", "INVALID  2 runs", "failure  128.0 ms ±1.0"} {
		if !strings.Contains(table, want) {
			t.Errorf("table lacks %q:\n%s", want, table)
		}
	}
	if text := written(t, "json", r); !strings.HasPrefix(text, "[") {
		t.Errorf("json of two runs: %.40s", text)
	}
}

func TestColourOnlyIfAsked(t *testing.T) {
	var plain, coloured bytes.Buffer
	if err := WriteTable(&plain, handMadeReport(), false); err != nil {
		t.Fatal(err)
	}
	if err := WriteTable(&coloured, handMadeReport(), true); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(plain.String(), "\x1b") {
		t.Error("colour unasked")
	}
	stripped := coloured.String()
	for _, code := range []string{"\x1b[31m", "\x1b[32m", "\x1b[0m"} {
		if !strings.Contains(stripped, code) {
			t.Errorf("lacks %q", code)
		}
		stripped = strings.ReplaceAll(stripped, code, "")
	}
	if stripped != plain.String() {
		t.Error("colour changes the text")
	}
}

// An unrecovered flow and one without evidence say so.
func TestNotRecovered(t *testing.T) {
	run := handMade()
	for i := 229; i < 400; i++ {
		run.Flows[0].Received[i] = 0
	}
	run.Phases[1].Converged = -1
	r := convergence.Analyze(run, convergence.Options{})
	convergence.Conclude(&r, run, nil, nil)
	report := Report{Results: []convergence.Result{r}}
	if got := written(t, "markdown", report); !strings.Contains(got, "not recovered") || !strings.Contains(got, "≥ 299.0 ms ±1.0") {
		t.Error(got)
	}
	if got := written(t, "table", report); !strings.Contains(got, "FAIL") || !strings.Contains(got, "out/0 dark ≥ 299.0 ms ±1.0") {
		t.Error(got)
	}
}
