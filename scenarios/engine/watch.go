package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gwlab/internal/monotime"
	"gwlab/reports/convergence"
)

// tracker keeps the newest progress of the probe and wakes who waits on it.
type tracker struct {
	mu     sync.Mutex
	newest []convergence.FlowProgress
	more   chan struct{} // closed and replaced at each progress
	ended  bool
}

func track(progress <-chan []convergence.FlowProgress) *tracker {
	t := &tracker{more: make(chan struct{})}
	go func() {
		for p := range progress {
			t.set(p, false)
		}
		t.set(nil, true)
	}()
	return t
}

func (t *tracker) set(p []convergence.FlowProgress, ended bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended = ended; !ended {
		t.newest = p
	}
	close(t.more)
	t.more = make(chan struct{})
}

// clean waits until every flow has delivered all its packets for d. The wait
// starts now: what was clean before does not count.
func (t *tracker) clean(ctx context.Context, d time.Duration) error {
	since := monotime.Now()
	for {
		t.mu.Lock()
		ok, ended, more := cleanSince(t.newest, since, d), t.ended, t.more
		t.mu.Unlock()
		if ok {
			return nil
		}
		if ended {
			return errors.New("the probe ended by itself")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-more:
		}
	}
}

func cleanSince(flows []convergence.FlowProgress, since int64, d time.Duration) bool {
	for _, f := range flows {
		if f.CleanSince == 0 || monotime.Now()-max(f.CleanSince, since) < int64(d) {
			return false
		}
	}
	return len(flows) > 0
}

// recorder collects the lab's events of one run.
type recorder struct {
	cancel context.CancelFunc
	done   chan struct{}
	events []convergence.Event
}

func record(ctx context.Context, lab Lab, ended func()) (*recorder, error) {
	// The recording must outlive an interrupted timeline: its last events
	// are the heals.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stream, err := lab.Watch(ctx)
	if err != nil {
		cancel()
		return nil, fmt.Errorf("watch lab: %w", err)
	}
	r := &recorder{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(r.done)
		for e := range stream {
			r.events = append(r.events, e)
		}
		if ctx.Err() == nil {
			ended()
		}
	}()
	return r, nil
}

// stop ends the recording and returns what happened since an instant. Of what
// was before, only the newest forwarding state of each entry stays: the state
// in which the run began.
func (r *recorder) stop(since int64) []convergence.Event {
	r.cancel()
	<-r.done
	type entry struct{ node, key string }
	before := map[entry]convergence.Event{}
	var out []convergence.Event
	for _, e := range r.events {
		if e.T >= since {
			out = append(out, e)
			continue
		}
		at := entry{e.Node, e.Key}
		if known, ok := before[at]; e.Kind == "fib.change" && (!ok || e.T >= known.T) {
			before[at] = e
		}
	}
	for _, e := range before {
		out = append(out, e)
	}
	return out
}
