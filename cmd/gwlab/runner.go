package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"gwlab/lab"
	"gwlab/lab/kind"
	"gwlab/reports"
	"gwlab/reports/convergence"
	"gwlab/scenarios"
	"gwlab/scenarios/engine"
	"gwlab/topologies"
)

// runner executes scenarios, each on a lab of its topology.
type runner struct {
	app      *app
	o        runOptions
	gateways []string
	binaries map[string]kind.Binaries // by gateway
	progress *progress
	results  []convergence.Result
}

// bout is scenarios that share a lab: one topology with one implementation.
type bout struct {
	topology  *topologies.Topology
	gateway   string
	scenarios []*scenarios.Scenario
	keep      bool // leave the lab up
}

func newRunner(a *app, o runOptions) (*runner, error) {
	r := &runner{app: a, o: o, gateways: splitList(o.gateway), binaries: map[string]kind.Binaries{}, progress: a.newProgress()}
	if len(r.gateways) == 0 {
		return nil, errors.New("no gateway to run: use gatewayd, frr, bird or the path of a gatewayd build")
	}
	for _, g := range r.gateways {
		b, err := binaries(o.gatewayd, g)
		if err != nil {
			return nil, err
		}
		r.binaries[g] = b
	}
	return r, nil
}

// run judges every scenario; several implementations take turns, so that
// what drifts on this machine drifts for all of them.
func (r *runner) run(ctx context.Context, todo []*scenarios.Scenario) error {
	rounds, err := r.plan(todo)
	if err != nil {
		return badInput(err)
	}
	undo, err := makeRuns(r.o.runs)
	if err != nil {
		return badInput(err)
	}
	defer undo()
	for i, round := range rounds {
		for j, b := range round {
			b.keep = r.o.keep && i == len(rounds)-1 && j == len(round)-1
			if err := r.bout(ctx, b); err != nil {
				r.progress.done()
				return err
			}
		}
	}
	return r.conclude()
}

// plan compiles everything before anything is built, and orders it: each
// round visits every topology and implementation.
func (r *runner) plan(todo []*scenarios.Scenario) ([][]bout, error) {
	var errs []error
	var round []bout
	repeats := 1
	for _, g := range r.gateways {
		index := map[string]int{}
		for _, s := range todo {
			t, err := loadTopology(topologyOf(s), g, r.o.set)
			if err == nil {
				_, err = scenarios.Compile(s, t, r.o.seed, 1)
			}
			if err != nil {
				errs = append(errs, err)
				continue
			}
			repeats = max(repeats, r.repeats(s))
			i, known := index[s.Topology]
			if !known {
				i = len(round)
				index[s.Topology] = i
				round = append(round, bout{topology: t, gateway: g})
			}
			round[i].scenarios = append(round[i].scenarios, s)
		}
	}
	if len(r.gateways) == 1 {
		return [][]bout{round}, errors.Join(errs...)
	}
	var rounds [][]bout
	for range repeats {
		rounds = append(rounds, round)
	}
	return rounds, errors.Join(errs...)
}

// makeRuns makes the directory of the records before anything is measured
// that could not be kept; undo removes it again if nothing was put there.
func makeRuns(dir string) (undo func(), err error) {
	_, missing := os.Stat(dir)
	err = makeAll(dir)
	var trial string
	if err == nil {
		trial, err = os.MkdirTemp(dir, ".trial-")
	}
	if err == nil {
		err = os.Remove(trial)
	}
	if err != nil {
		return nil, fmt.Errorf("make directory for the records: %w: choose another with --runs", err)
	}
	return func() {
		if missing != nil {
			_ = os.Remove(dir) // refused unless it is empty
		}
	}, nil
}

func (r *runner) repeats(s *scenarios.Scenario) int {
	if r.o.repeat > 0 {
		return r.o.repeat
	}
	return s.Repeat
}

// bout builds a lab, runs its scenarios and takes it down, whatever happens.
func (r *runner) bout(ctx context.Context, b bout) (err error) {
	r.progress.label = b.topology.Name
	name := fmt.Sprintf("%s-%d", b.topology.Name, os.Getpid())
	l, err := lab.Up(ctx, lab.UpOptions{Topology: b.topology, Name: name, Binaries: r.binaries[b.gateway], Owned: true, WaitReady: true}, r.progress.lab)
	if err != nil {
		return labError(ctx, err)
	}
	defer func() {
		if b.keep && ctx.Err() == nil {
			err = errors.Join(err, broken(l.Release(ctx)))
			fmt.Fprintf(r.app.err, "lab %s stays up: %s down %s\n", name, called(), name)
			return
		}
		err = errors.Join(err, broken(l.Down(context.WithoutCancel(ctx))))
	}()
	for _, s := range b.scenarios {
		n := 1 // with several implementations the rounds repeat
		if len(r.gateways) == 1 {
			n = r.repeats(s)
		}
		for range n {
			if err := r.scenario(ctx, l, b, s); err != nil {
				return err
			}
		}
	}
	return nil
}

// scenario runs one, again when it was invalid and retries are left.
func (r *runner) scenario(ctx context.Context, l *lab.Lab, b bout, s *scenarios.Scenario) error {
	repeat := 1
	for _, done := range r.results {
		if done.Scenario == s.ID && done.Gateway == b.gateway {
			repeat++
		}
	}
	for try := 0; ; try++ {
		result, err := r.once(ctx, l, b, s, repeat)
		if err != nil {
			return err
		}
		if result.Verdict != convergence.Invalid || try >= r.o.retryInvalid {
			r.results = append(r.results, result)
			return nil
		}
		fmt.Fprintf(r.app.err, "%s was invalid (%s), once more\n", s.ID, strings.Join(result.Reasons, "; "))
	}
}

func (r *runner) once(ctx context.Context, l *lab.Lab, b bout, s *scenarios.Scenario, repeat int) (convergence.Result, error) {
	plan, err := scenarios.Compile(s, b.topology, r.o.seed, repeat)
	if err != nil {
		return convergence.Result{}, badInput(err)
	}
	r.progress.label = fmt.Sprintf("%s %s", s.ID, b.gateway)
	run, runErr := engine.Run(ctx, bench{l}, plan, r.progress.engine)
	if runErr == nil {
		if runErr = stillUp(ctx, l); runErr != nil {
			run.Aborted = runErr.Error()
		}
	}
	run.Gateway = b.gateway
	run.Environment = environment(r.o)
	dir, err := reports.SaveRun(r.o.runs, run)
	if err != nil {
		return convergence.Result{}, broken(err)
	}
	defer inheritRecord(dir)
	result := scenarios.Judge(s, run)
	report := reports.Report{Results: []convergence.Result{result}, Reproduce: r.reproduce(s)}
	if err := reports.SaveReport(dir, report); err != nil {
		return result, broken(err)
	}
	if ctx.Err() != nil && healed(run) {
		return result, coded{exitInvalid, fmt.Errorf("interrupted: every fault is healed, what was recorded is in %s", dir)}
	}
	if runErr != nil {
		return result, broken(fmt.Errorf("%s: %w (record in %s)", s.ID, runErr, dir))
	}
	r.progress.done()
	return result, r.announce(report, dir)
}

// stillUp errs when the lab died or was taken down during a run, which then
// measured something else than what it was to measure.
func stillUp(ctx context.Context, l *lab.Lab) error {
	again, err := lab.Attach(context.WithoutCancel(ctx), l.Name())
	if err != nil {
		return fmt.Errorf("lab broke during the run: %w", err)
	}
	return again.Close()
}

func healed(run convergence.Run) bool {
	return !slices.ContainsFunc(run.Injections, func(in convergence.Injection) bool { return in.Heal && in.Error != "" })
}

// reproduce is the command that does the same again.
func (r *runner) reproduce(s *scenarios.Scenario) string {
	command := fmt.Sprintf("gwlab run %s --seed %d", s.ID, r.o.seed)
	if r.o.gateway != "gatewayd" {
		command += " --gateway " + r.o.gateway
	}
	for _, set := range r.o.set {
		command += " --set " + set
	}
	return command
}
