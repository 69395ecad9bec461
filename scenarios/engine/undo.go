package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"gwlab/fault"
)

// undo is the stack of active faults. Heals run last in, first out, each
// once, each under its own deadline, and also after ctx has ended.
type undo struct{ entries []undoEntry }

type undoEntry struct {
	kind, target string
	heal         func(context.Context) (fault.Effect, error)
}

func (u *undo) push(e undoEntry) { u.entries = append(u.entries, e) }

func (u *undo) empty() bool { return len(u.entries) == 0 }

func (u *undo) heal(ctx context.Context, done func(undoEntry, fault.Effect, error)) error {
	var errs []error
	for !u.empty() {
		e := u.entries[len(u.entries)-1]
		u.entries = u.entries[:len(u.entries)-1]
		limited, cancel := context.WithTimeout(context.WithoutCancel(ctx), healLimit)
		effect, err := e.heal(limited)
		cancel()
		if err != nil {
			errs = append(errs, fmt.Errorf("heal %s %s: %w", e.kind, e.target, err))
		}
		done(e, effect, err)
	}
	return errors.Join(errs...)
}

// confirmations run beside the timeline, which they must not delay.
type confirmations struct {
	mu    sync.Mutex
	wg    sync.WaitGroup
	stops []context.CancelCauseFunc
}

func (c *confirmations) start(ctx context.Context, confirm func(context.Context) (string, error), done func(string, error)) {
	ctx, stop := context.WithCancelCause(ctx)
	c.stops = append(c.stops, stop)
	c.wg.Go(func() {
		limited, cancel := context.WithTimeoutCause(ctx, confirmTime, errors.New("no counter showed it in time"))
		defer cancel()
		evidence, err := confirm(limited)
		c.locked(func() { done(evidence, err) })
	})
}

func (c *confirmations) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// stop ends what still waits for a counter, and waits for its end.
func (c *confirmations) stop() {
	for _, stop := range c.stops {
		stop(errors.New("no counter showed it before it was healed"))
	}
	c.stops = nil
	c.Wait()
}

// Wait returns when every confirmation has answered.
func (c *confirmations) Wait() { c.wg.Wait() }
