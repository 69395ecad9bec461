package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"gwlab/fault"
	"gwlab/internal/monotime"
	"gwlab/reports/convergence"
	"gwlab/scenarios"
)

// Lab is what the engine needs of a running lab.
type Lab interface {
	fault.Lab
	// Ready waits until every session of every node is up.
	Ready(ctx context.Context) error
	// Watch streams the lab's events until ctx ends.
	Watch(ctx context.Context) (<-chan convergence.Event, error)
	// Probe starts the flows.
	Probe(ctx context.Context, flows []convergence.Flow) (Probe, error)
}

// Probe is running traffic.
type Probe interface {
	// Progress delivers what is known of every flow, every few tens of ms,
	// until the probe ends.
	Progress() <-chan []convergence.FlowProgress
	// Stop ends the traffic and returns the flows with their samples.
	Stop(ctx context.Context) ([]convergence.Flow, convergence.Health, error)
}

// Notice is a line of progress for people.
type Notice struct {
	At    time.Duration // on the timeline; negative before it starts
	Phase string
	Text  string
}

const (
	warmup      = 300 * time.Millisecond // clean traffic before the timeline starts
	warmupLimit = 15 * time.Second
	cleanFor    = 100 * time.Millisecond // clean traffic that counts as converged
	healLimit   = 15 * time.Second       // for each heal
	confirmTime = 3 * time.Second
	probeLimit  = 20 * time.Second // for stopping the probe
)

// Run executes the plan. It returns what was recorded even with an error;
// Run.Aborted then says why. Whatever was injected is undone before it
// returns, on every way out; a heal that fails is an error.
func Run(ctx context.Context, lab Lab, plan *scenarios.Plan, notify func(Notice)) (convergence.Run, error) {
	r := &run{lab: lab, plan: plan, notify: notify, record: convergence.Run{
		Schema: convergence.SchemaVersion, Scenario: plan.Scenario.ID, Repeat: plan.Repeat, Seed: plan.Seed,
		ScenarioText: string(plan.Scenario.Source), TopologyText: string(plan.Topology.Source),
		Topology: plan.Topology.Name, StartedAt: time.Now(), Start: monotime.Now(), Flows: plan.Flows,
	}}
	watched, lost := context.WithCancelCause(ctx)
	defer lost(nil)
	err := r.execute(watched, lost)
	r.confirms.stop()
	err = errors.Join(err, r.undo.heal(ctx, r.recordHeal))
	r.confirms.Wait()
	err = errors.Join(err, r.collect(ctx))
	if err != nil {
		r.record.Aborted = err.Error()
	}
	return r.record, err
}

type run struct {
	lab    Lab
	plan   *scenarios.Plan
	notify func(Notice)
	record convergence.Run

	undo     undo
	confirms confirmations
	probe    Probe
	flows    *tracker
	events   *recorder
}

// execute runs the timeline. It ends early, by lost, when the lab stops
// telling what happens in it.
func (r *run) execute(ctx context.Context, lost context.CancelCauseFunc) error {
	r.say("waiting for every session")
	if err := r.lab.Ready(ctx); err != nil {
		return fmt.Errorf("await lab: %w", err)
	}
	var err error
	ended := func() { lost(errors.New("the lab went away")) }
	if r.events, err = record(ctx, r.lab, ended); err != nil {
		return err
	}
	if r.probe, err = r.lab.Probe(ctx, r.plan.Flows); err != nil {
		return fmt.Errorf("start probe: %w", err)
	}
	r.flows = track(r.probe.Progress())
	r.say("warming up")
	warm, cancel := context.WithTimeoutCause(ctx, warmupLimit, errors.New("traffic does not flow: some flow still loses packets"))
	defer cancel()
	if err := r.flows.clean(warm, warmup); err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	r.record.Start = monotime.Now()
	for i := range r.plan.Steps {
		if err := r.step(ctx, &r.plan.Steps[i]); err != nil {
			return fmt.Errorf("phase %s: %w", r.plan.Steps[i].Phase, err)
		}
	}
	return nil
}

// step waits for its instant, ends the phase before it and begins its own.
func (r *run) step(ctx context.Context, s *scenarios.Step) error {
	converged, err := r.await(ctx, s)
	if err != nil {
		return err
	}
	if n := len(r.record.Phases); n > 0 {
		r.record.Phases[n-1].Converged = converged
		r.record.Phases[n-1].End = monotime.Now()
	}
	r.record.Phases = append(r.record.Phases, convergence.Phase{Name: s.Phase, Start: monotime.Now(), End: monotime.Now()})
	if s.Heal {
		r.confirms.stop() // a counter cannot show what is healed
		if err := r.undo.heal(ctx, r.recordHeal); err != nil {
			return err
		}
	}
	for _, in := range s.Inject {
		if err := r.inject(ctx, s.Phase, in); err != nil {
			return err
		}
	}
	if !s.Heal && len(s.Inject) == 0 {
		r.say("")
	}
	return nil
}

// await returns the instant of convergence, 0 when the step does not wait
// for it and -1 when it waited in vain.
func (r *run) await(ctx context.Context, s *scenarios.Step) (int64, error) {
	if !s.AfterConverged {
		return 0, sleepUntil(ctx, r.record.Start+int64(s.At))
	}
	limited, cancel := context.WithTimeoutCause(ctx, s.Within, errors.New("not converged in time"))
	defer cancel()
	err := r.converged(limited)
	at := monotime.Now()
	switch {
	case err == nil:
		return at, sleepUntil(ctx, at+int64(s.Hold))
	case ctx.Err() != nil:
		return 0, context.Cause(ctx)
	case limited.Err() == nil:
		return 0, err // the lab or the probe failed, not the network
	default:
		r.say("not converged within " + s.Within.String())
		return -1, nil
	}
}

func (r *run) converged(ctx context.Context) error {
	if r.undo.empty() {
		if err := r.lab.Ready(ctx); err != nil {
			return err
		}
	}
	return r.flows.clean(ctx, cleanFor)
}

func (r *run) inject(ctx context.Context, phase string, in scenarios.Inject) error {
	active, err := in.Fault.Inject(ctx, r.lab)
	if err != nil {
		return fmt.Errorf("inject %s: %w", in.Kind, err)
	}
	r.undo.push(undoEntry{kind: in.Kind, target: active.Target, heal: active.Heal})
	index := 0
	r.confirms.locked(func() {
		index = len(r.record.Injections)
		r.record.Injections = append(r.record.Injections, convergence.Injection{
			Kind: in.Kind, Target: active.Target, Phase: phase, Call: active.Effect.Call, Return: active.Effect.Return,
		})
	})
	r.confirms.start(ctx, active.Confirm, func(evidence string, err error) {
		// By index: the slice may have grown and moved since.
		entry := &r.record.Injections[index]
		entry.Confirmed, entry.Evidence = err == nil, evidence
		if err != nil {
			entry.Error = err.Error()
		}
	})
	r.say(in.Kind + " " + active.Target)
	return nil
}

func (r *run) recordHeal(e undoEntry, effect fault.Effect, err error) {
	in := convergence.Injection{
		Kind: e.kind, Target: e.target, Heal: true, Phase: r.phase(),
		Call: effect.Call, Return: effect.Return, Confirmed: err == nil, Evidence: "the heal returned",
	}
	if err != nil {
		in.Error, in.Evidence = err.Error(), ""
	}
	r.confirms.locked(func() { r.record.Injections = append(r.record.Injections, in) })
	r.say("heal " + e.kind + " " + e.target)
}

// collect ends the probe and the recording, whatever happened before.
func (r *run) collect(ctx context.Context) error {
	r.record.End = monotime.Now()
	if n := len(r.record.Phases); n > 0 {
		r.record.Phases[n-1].End = r.record.End
	}
	var err error
	if r.probe != nil {
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeLimit)
		defer cancel()
		flows, health, stopErr := r.probe.Stop(limited)
		if stopErr != nil {
			err = fmt.Errorf("stop probe: %w", stopErr)
		} else {
			r.record.Flows, r.record.Health = flows, health
		}
	}
	if r.events != nil {
		events := append(r.events.stop(r.record.Start), r.marks()...)
		slices.SortStableFunc(events, func(a, b convergence.Event) int { return cmp.Compare(a.T, b.T) })
		r.record.Events = events
	}
	return err
}

// marks are the engine's own events: phases and injections.
func (r *run) marks() []convergence.Event {
	var out []convergence.Event
	for _, p := range r.record.Phases {
		out = append(out, convergence.Event{T: p.Start, Source: "engine", Kind: "phase", Key: p.Name})
	}
	for _, in := range r.record.Injections {
		kind := "fault.injected"
		if in.Heal {
			kind = "fault.healed"
		}
		out = append(out, convergence.Event{T: in.Return, Source: "engine", Kind: kind, Key: in.Target,
			Data: map[string]string{"kind": in.Kind, "evidence": in.Evidence}})
	}
	return out
}

func (r *run) phase() string {
	if n := len(r.record.Phases); n > 0 {
		return r.record.Phases[n-1].Name
	}
	return ""
}

func (r *run) say(text string) {
	if r.notify == nil {
		return
	}
	at := time.Duration(-1)
	if len(r.record.Phases) > 0 {
		at = time.Duration(monotime.Now() - r.record.Start)
	}
	r.notify(Notice{At: at, Phase: r.phase(), Text: text})
}

func sleepUntil(ctx context.Context, at int64) error {
	timer := time.NewTimer(time.Duration(at - monotime.Now()))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
