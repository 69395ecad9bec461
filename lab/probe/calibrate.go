package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"time"

	"gwlab/internal/monotime"
	"gwlab/reports/convergence"
)

// Gate closes or opens the path of every flow and brackets the instant at
// which that took effect, CLOCK_MONOTONIC ns.
type Gate func(closed bool) (call, done int64, err error)

// Calibration measures known outages with the probe.
type Calibration struct {
	Options
	Gate    Gate
	Outages int    // how many, each 50 … 300 ms, 100 … 300 ms apart
	Seed    uint64 // of their lengths
}

// Measured is one known outage and what the probe said of it.
type Measured struct {
	Truth time.Duration // middle of the gate's bracket
	// Bracket is by how much Truth may be wrong either way.
	Bracket time.Duration
	// Worst is the estimate, over the flows, that is furthest from Truth.
	Worst convergence.Outage
	Error time.Duration // of that estimate
	// Unfit says why no statement is made; empty if one is.
	Unfit string
}

// Run starts a probe, makes the outages and compares. A Measured whose Unfit
// is empty claims an error of at most one packet interval.
func (c Calibration) Run(ctx context.Context) ([]Measured, convergence.Health, error) {
	session, err := Start(ctx, c.Options)
	if err != nil {
		return nil, convergence.Health{}, err
	}
	truth, err := c.make(ctx)
	flows, health, stopErr := session.Stop(ctx)
	if err := errors.Join(err, stopErr); err != nil {
		return nil, health, fmt.Errorf("calibrate probe: %w", err)
	}
	var list []Measured
	for _, k := range truth {
		list = append(list, k.judge(flows, health))
	}
	return list, health, nil
}

// known is one outage: bracketed instants of closing and opening.
type known struct{ closeCall, closeDone, openCall, openDone int64 }

// make runs the gate on a real-time thread, so that its brackets stay narrow
// on a busy machine.
func (c Calibration) make(ctx context.Context) ([]known, error) {
	type result struct {
		list []known
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // and never back: the thread is real-time now
		becomeRealTime()
		var r result
		random := rand.New(rand.NewPCG(c.Seed, 0))
		next := monotime.Now()
		for range c.Outages {
			var k known
			next += int64(100*time.Millisecond) + random.Int64N(int64(200*time.Millisecond))
			end := next + int64(50*time.Millisecond) + random.Int64N(int64(250*time.Millisecond))
			if r.err = errors.Join(ctx.Err(), sleepUntil(next)); r.err != nil {
				break
			}
			k.closeCall, k.closeDone, r.err = c.Gate(true)
			err := sleepUntil(end)
			var openErr error
			k.openCall, k.openDone, openErr = c.Gate(false)
			if r.err = errors.Join(r.err, err, openErr); r.err != nil {
				break
			}
			r.list = append(r.list, k)
			next = k.openDone
		}
		_ = sleepUntil(next + int64(100*time.Millisecond))
		done <- r
	}()
	r := <-done
	return r.list, r.err
}

// judge finds the outage in every flow. The packets of 50 ms on either side
// count as well, so that a loss too many is an error, too.
func (k known) judge(flows []convergence.Flow, health convergence.Health) Measured {
	shortest, longest := k.openCall-k.closeDone, k.openDone-k.closeCall
	m := Measured{Truth: time.Duration((shortest + longest) / 2), Bracket: time.Duration((longest - shortest + 1) / 2)}
	m.Error = -1
	phase := convergence.Phase{Start: k.closeCall - int64(50*time.Millisecond), End: k.openDone + int64(50*time.Millisecond)}
	for _, f := range flows {
		outages := convergence.Outages(f, phase, time.Second)
		if len(outages) != 1 {
			// A wrong number of outages is an error as large as the outage.
			m.Worst, m.Error, m.Unfit = convergence.Outage{}, m.Truth, ""
			return m
		}
		estimate, _ := outages[0].Duration()
		if e := (estimate - m.Truth).Abs(); e > m.Error {
			m.Worst, m.Error = outages[0], e
		}
		if stall := convergence.StallAtEdge(f, outages[0], health.Stalls); stall != nil && m.Unfit == "" {
			m.Unfit = fmt.Sprintf("the sender stalled %v at an edge", time.Duration(stall.End-stall.Start).Round(10*time.Microsecond))
		}
	}
	if health.Overruns > 0 || health.NoBuffers > 0 {
		m.Unfit = fmt.Sprintf("%d packets were lost by the tester itself", health.Overruns+health.NoBuffers)
	}
	return m
}

// Summary of a calibration: over the outages of which the tester makes a
// statement, the median and the largest error.
type Summary struct {
	Outages, Unfit int
	Median, Worst  time.Duration
	// Broken counts statements that erred by more than a packet interval.
	Broken int
}

// Summarize judges a calibration whose flows all have this packet interval.
func Summarize(list []Measured, interval time.Duration) Summary {
	s := Summary{Outages: len(list)}
	var errs []time.Duration
	for _, m := range list {
		if m.Unfit != "" {
			s.Unfit++
			continue
		}
		errs = append(errs, m.Error)
		if m.Error > interval+m.Bracket {
			s.Broken++
		}
	}
	if len(errs) > 0 {
		slices.Sort(errs)
		s.Median, s.Worst = errs[len(errs)/2], errs[len(errs)-1]
	}
	return s
}

// Row is a named calibration for WriteTable.
type Row struct {
	Name    string
	Summary Summary
	Health  convergence.Health
}

// WriteTable prints calibrations as a Markdown table, times in milliseconds.
func WriteTable(w io.Writer, rows []Row) error {
	ms := func(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d)/float64(time.Millisecond)) }
	var b strings.Builder
	b.WriteString("| load | outages | declared unfit | error median | error max | beyond one interval | sender late p99 | max | box busy |\n")
	b.WriteString("| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %d | %s | %s | %.0f %% |\n", r.Name, r.Summary.Outages, r.Summary.Unfit,
			ms(r.Summary.Median), ms(r.Summary.Worst), r.Summary.Broken, ms(r.Health.P99Lateness), ms(r.Health.WorstLateness), r.Health.BusyPercent)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
