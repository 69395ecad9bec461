package probe

import (
	"slices"
	"testing"
	"time"

	"gwlab/reports/convergence"
)

func TestLateness(t *testing.T) {
	f := newFitness()
	if f.p99() != 0 {
		t.Error("lateness of nothing")
	}
	for range 99 {
		f.late(45 * time.Microsecond)
	}
	f.late(time.Second)
	var h convergence.Health
	f.fill(&h)
	if h.P99Lateness != 50*time.Microsecond || h.WorstLateness != time.Second {
		t.Errorf("p99 %v, worst %v", h.P99Lateness, h.WorstLateness)
	}
	g := newFitness()
	g.late(3 * time.Microsecond)
	g.late(-1) // a clock read across two processors may differ by that
	if g.p99() != 3*time.Microsecond {
		t.Errorf("p99 beyond the worst: %v", g.p99())
	}
}

// A gap is what exceeds the interval; a stall is a pause of more than two.
// The flows of one pause share one stall.
func TestStalls(t *testing.T) {
	f := newFitness()
	f.paused(0, 1*msec, msec)
	f.paused(1*msec, 3*msec, msec)
	if f.worstGap != msec || len(f.stalls) != 0 {
		t.Errorf("two intervals: gap %d, stalls %v", f.worstGap, f.stalls)
	}
	f.paused(3*msec, 8*msec, msec)
	f.paused(3*msec+10, 8*msec+20, msec)
	f.paused(2*msec, 8*msec+30, msec)
	f.paused(20*msec, 23*msec, msec)
	want := []convergence.Stall{{Start: 2 * msec, End: 8*msec + 30}, {Start: 20 * msec, End: 23 * msec}}
	if !slices.Equal(f.stalls, want) || f.worstGap != 5*msec+30 {
		t.Errorf("stalls %v, gap %d", f.stalls, f.worstGap)
	}
}

// However many stalls there are, every one is covered by the list.
func TestManyStalls(t *testing.T) {
	f := newFitness()
	for i := range int64(2 * maxStalls) {
		f.stalled(10*i*msec, (10*i+3)*msec)
	}
	if n := len(f.stalls); n != maxStalls || f.stalls[n-1].End != (10*(2*maxStalls-1)+3)*msec {
		t.Errorf("%d stalls, the last %v", n, f.stalls[n-1])
	}
}

func TestParseStat(t *testing.T) {
	total, idle, steal := parseStat("cpu  100 1 50 800 40 2 3 4 90 0\ncpu0 1 1 1\n")
	if total != 1000 || idle != 840 || steal != 4 {
		t.Errorf("total %v idle %v steal %v", total, idle, steal)
	}
	for _, bad := range []string{"", "cpu 1 2", "cpu  a 1 50 800 40 2 3 4", "intr 1 2 3 4 5 6 7 8 9"} {
		if total, _, _ := parseStat(bad); total != 0 {
			t.Errorf("%q: %v", bad, total)
		}
	}
}

func TestParsePressure(t *testing.T) {
	if got := parsePressure("some avg10=0.00 avg60=0.10 avg300=0.00 total=12345\nfull avg10=0.00 total=9\n"); got != 12345 {
		t.Error(got)
	}
	for _, bad := range []string{"", "full total=9\n", "some avg10=1\n", "some total=x\n"} {
		if got := parsePressure(bad); got != -1 {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestHostLoad(t *testing.T) {
	a := hostLoad{at: 0, total: 1000, idle: 500, steal: 10, waiting: 1000}
	b := hostLoad{at: int64(2 * time.Second), total: 1400, idle: 600, steal: 30, waiting: 501_000}
	var h convergence.Health
	a.fill(&h, b)
	// Of 400 ticks 100 were idle and 20 stolen; 0.5 s of 2 s somebody waited.
	if h.BusyPercent != 75 || h.StealPercent != 5 || h.CPUPressure != 25 {
		t.Errorf("%+v", h)
	}
	a.waiting = -1
	if a.fill(&h, b); h.CPUPressure != -1 {
		t.Errorf("unknown pressure is %v", h.CPUPressure)
	}
}
