package engine_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gwlab/fault"
	"gwlab/internal/monotime"
	"gwlab/reports/convergence"
	"gwlab/scenarios"
	"gwlab/scenarios/engine"
	"gwlab/topologies"
)

// stand is a lab whose traffic is clean unless a fault is active or dirty says otherwise.
type stand struct {
	fault.Lab // verbs are not used: the faults of these tests act on the stand itself
	log       []string
	readyErr  error
	dirty     func() bool
	probe     *standProbe
	goneAfter time.Duration // 0: it stays
}

func (s *stand) Ready(ctx context.Context) error { return s.readyErr }

func (s *stand) Watch(ctx context.Context) (<-chan convergence.Event, error) {
	out := make(chan convergence.Event, 16)
	now := monotime.Now()
	out <- convergence.Event{T: now - 9, Source: "test", Kind: "old news"}
	out <- convergence.Event{T: now - 8, Source: "test", Kind: "fib.change", Key: "p", Data: map[string]string{"via": "a"}}
	out <- convergence.Event{T: now - 7, Source: "test", Kind: "fib.change", Key: "p", Data: map[string]string{"via": "a,b"}}
	out <- convergence.Event{T: now + int64(time.Second), Source: "test", Kind: "watching"}
	end := sync.OnceFunc(func() { close(out) })
	context.AfterFunc(ctx, end)
	if s.goneAfter > 0 {
		time.AfterFunc(s.goneAfter, end)
	}
	return out, nil
}

func (s *stand) Probe(ctx context.Context, flows []convergence.Flow) (engine.Probe, error) {
	s.probe = &standProbe{stand: s, flows: flows, out: make(chan []convergence.FlowProgress), quit: make(chan struct{})}
	go s.probe.run()
	return s.probe, nil
}

type standProbe struct {
	stand   *stand
	flows   []convergence.Flow
	out     chan []convergence.FlowProgress
	quit    chan struct{}
	stopped int
	once    sync.Once
}

func (p *standProbe) run() {
	defer close(p.out)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	since := monotime.Now()
	for {
		select {
		case <-p.quit:
			return
		case <-tick.C:
		}
		progress := make([]convergence.FlowProgress, len(p.flows))
		if p.stand.dirty != nil && p.stand.dirty() {
			since = monotime.Now()
		} else {
			for i := range progress {
				progress[i].CleanSince = since
			}
		}
		select {
		case p.out <- progress:
		case <-p.quit:
			return
		}
	}
}

func (p *standProbe) end() { p.once.Do(func() { close(p.quit) }) }

func (p *standProbe) Progress() <-chan []convergence.FlowProgress { return p.out }

func (p *standProbe) Stop(context.Context) ([]convergence.Flow, convergence.Health, error) {
	p.stopped++
	p.end()
	return p.flows, convergence.Health{RealTime: true}, nil
}

// switchFault is a fault of the stand.
type switchFault struct {
	name      string
	stand     *stand
	injectErr error
	healErr   error
	confirm   error
	never     bool // no counter ever shows it
}

func (f *switchFault) Validate(*topologies.Topology) error { return nil }

func (f *switchFault) Inject(ctx context.Context, _ fault.Lab) (fault.Active, error) {
	if f.injectErr != nil {
		return fault.Active{}, f.injectErr
	}
	f.stand.log = append(f.stand.log, "inject "+f.name)
	now := monotime.Now()
	return fault.Active{
		Effect: fault.Effect{Call: now, Return: now + 10}, Target: f.name,
		Confirm: func(ctx context.Context) (string, error) {
			if f.never {
				<-ctx.Done()
				return "", context.Cause(ctx)
			}
			return "counted " + f.name, f.confirm
		},
		Heal: func(ctx context.Context) (fault.Effect, error) {
			if ctx.Err() != nil {
				return fault.Effect{}, ctx.Err()
			}
			f.stand.log = append(f.stand.log, "heal "+f.name)
			return fault.Effect{Call: monotime.Now(), Return: monotime.Now()}, f.healErr
		},
	}, nil
}

func plan(faults ...fault.Fault) *scenarios.Plan {
	var in []scenarios.Inject
	for _, f := range faults {
		in = append(in, scenarios.Inject{Kind: "test.switch", Fault: f})
	}
	return &scenarios.Plan{
		Scenario: &scenarios.Scenario{ID: "T-1"}, Topology: &topologies.Topology{Name: "stand"}, Seed: 7, Repeat: 2,
		Flows: []convergence.Flow{{ID: 0, Group: "out"}, {ID: 1, Group: "out", Index: 1}},
		Steps: []scenarios.Step{
			{Phase: "steady"},
			{Phase: "failure", At: time.Second, Inject: in},
			{Phase: "repaired", AfterConverged: true, Hold: 2 * time.Second, Within: 5 * time.Second, Heal: true},
			{Phase: "end", AfterConverged: true, Hold: time.Second, Within: 5 * time.Second},
		},
	}
}

func TestTimelineIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s}, &switchFault{name: "b", stand: s}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if want := "inject a, inject b, heal b, heal a"; strings.Join(s.log, ", ") != want {
			t.Errorf("order: %v, want %s", s.log, want)
		}
		var names []string
		for _, p := range got.Phases {
			names = append(names, p.Name)
		}
		if !slices.Equal(names, []string{"steady", "failure", "repaired", "end"}) {
			t.Errorf("phases %v", names)
		}
		if d := got.Phases[1].Start - got.Start; d != int64(time.Second) {
			t.Errorf("failure began %v after the start, want 1s", time.Duration(d))
		}
		if d := time.Duration(got.Phases[1].End - got.Phases[1].Start); d < 2*time.Second || d > 2500*time.Millisecond {
			t.Errorf("failure lasted %v, want convergence and the 2s hold", d)
		}
		if c := got.Phases[1].Converged; c == 0 || c == -1 {
			t.Error("convergence was not recorded")
		}
		if len(got.Injections) != 4 || !got.Injections[0].Confirmed || got.Injections[0].Evidence != "counted a" {
			t.Errorf("injections: %+v", got.Injections)
		}
		if s.probe.stopped != 1 || !got.Health.RealTime {
			t.Error("the probe was not stopped exactly once, or its health was lost")
		}
		if got.Aborted != "" || got.Seed != 7 || got.Repeat != 2 {
			t.Errorf("run: %+v", got)
		}
		if len(got.Events) < 2 || got.Events[0].Data["via"] != "a,b" {
			t.Errorf("the state before the run must be its first event: %+v", got.Events)
		}
		if !slices.ContainsFunc(got.Events, func(e convergence.Event) bool { return e.Kind == "watching" }) {
			t.Error("an event of the run is missing")
		}
	})
}

func TestInterruptHealsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(2*time.Second, func() { cancel(errors.New("interrupted")) })
		got, err := engine.Run(ctx, s, plan(&switchFault{name: "a", stand: s}), nil)
		if err == nil || !strings.Contains(got.Aborted, "interrupted") {
			t.Errorf("err %v, aborted %q", err, got.Aborted)
		}
		if strings.Join(s.log, ", ") != "inject a, heal a" || s.probe.stopped != 1 {
			t.Errorf("left behind: %v, probe stopped %d times", s.log, s.probe.stopped)
		}
	})
}

func TestFailedInjectUndoesWhatCameBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s},
			&switchFault{name: "b", stand: s, injectErr: errors.New("no such port")}), nil)
		if err == nil || !strings.Contains(got.Aborted, "no such port") {
			t.Fatalf("err %v, aborted %q", err, got.Aborted)
		}
		if strings.Join(s.log, ", ") != "inject a, heal a" {
			t.Errorf("log %v", s.log)
		}
	})
}

func TestFailedHealFailsTheRunAndOthersStillHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s},
			&switchFault{name: "b", stand: s, healErr: errors.New("stuck")}), nil)
		if err == nil || !strings.Contains(got.Aborted, "heal test.switch b: stuck") {
			t.Fatalf("err %v", err)
		}
		if strings.Join(s.log, ", ") != "inject a, inject b, heal b, heal a" {
			t.Errorf("log %v", s.log)
		}
	})
}

func TestUnconfirmedFaultIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s, confirm: errors.New("nothing was dropped")}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if in := got.Injections[0]; in.Confirmed || in.Error != "nothing was dropped" {
			t.Errorf("injection %+v", in)
		}
	})
}

func TestNeverConvergingIsNotAnErrorButIsRecorded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		s.dirty = func() bool { return slices.Contains(s.log, "inject a") && !slices.Contains(s.log, "heal a") }
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s}), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Phases[1].Converged != -1 || got.Phases[2].Converged == -1 {
			t.Errorf("converged: %d, %d", got.Phases[1].Converged, got.Phases[2].Converged)
		}
	})
}

func TestTrafficThatNeverFlowsAborts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{dirty: func() bool { return true }}
		got, err := engine.Run(t.Context(), s, plan(), nil)
		if err == nil || !strings.Contains(got.Aborted, "traffic does not flow") || s.probe.stopped != 1 {
			t.Errorf("err %v, aborted %q", err, got.Aborted)
		}
	})
}

func TestALabThatGoesAwayEndsTheRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{goneAfter: 1500 * time.Millisecond}
		began := time.Now()
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s}), nil)
		if err == nil || !strings.Contains(got.Aborted, "the lab went away") {
			t.Errorf("err %v, aborted %q", err, got.Aborted)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("noticed after %v", took)
		}
		if strings.Join(s.log, ", ") != "inject a, heal a" {
			t.Errorf("log %v", s.log)
		}
	})
}

func TestAProbeThatEndsIsNotTheNetworksFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		time.AfterFunc(1500*time.Millisecond, func() { s.probe.end() })
		got, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s}), nil)
		if err == nil || !strings.Contains(got.Aborted, "the probe ended by itself") {
			t.Errorf("err %v, aborted %q", err, got.Aborted)
		}
	})
}

func TestConfirmationEndsWithTheHeal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		p := plan(&switchFault{name: "a", stand: s, never: true})
		p.Steps[2] = scenarios.Step{Phase: "repaired", At: 1100 * time.Millisecond, Heal: true}
		got, err := engine.Run(t.Context(), s, p, nil)
		if err != nil {
			t.Fatal(err)
		}
		if in := got.Injections[0]; in.Confirmed || !strings.Contains(in.Error, "before it was healed") {
			t.Errorf("injection %+v", in)
		}
		if d := got.Phases[2].Start - got.Start; d != int64(1100*time.Millisecond) {
			t.Errorf("the heal came at %v", time.Duration(d))
		}
	})
}

func TestLabNotReadyAbortsBeforeTraffic(t *testing.T) {
	s := &stand{readyErr: errors.New("gw1: bgp isp1 not established")}
	got, err := engine.Run(t.Context(), s, plan(), nil)
	if err == nil || !strings.Contains(got.Aborted, "isp1 not established") || s.probe != nil {
		t.Errorf("err %v, aborted %q", err, got.Aborted)
	}
}

func TestNoticesTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &stand{}
		var told []string
		if _, err := engine.Run(t.Context(), s, plan(&switchFault{name: "a", stand: s}), func(n engine.Notice) {
			told = append(told, fmt.Sprintf("%s: %s", n.Phase, n.Text))
		}); err != nil {
			t.Fatal(err)
		}
		want := []string{": waiting for every session", ": warming up", "steady: ", "failure: test.switch a", "repaired: heal test.switch a", "end: "}
		if !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}
