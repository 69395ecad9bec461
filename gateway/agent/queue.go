package agent

import (
	"context"
	"sync"
)

// queue hands items to one reader in order. push never waits, whatever the
// reader does. The reader takes until there is nothing left: only then are
// the items handled that it took before.
type queue[T any] struct {
	mu      sync.Mutex
	items   []T
	busy    bool          // the reader works on what it took
	handled chan struct{} // closed when nothing is left; nil when nobody waits
	ready   chan struct{}
}

func newQueue[T any]() *queue[T] { return &queue[T]{ready: make(chan struct{}, 1)} }

func (q *queue[T]) push(item T) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	signal(q.ready)
}

// take returns all that was pushed since the last take.
func (q *queue[T]) take() []T {
	q.mu.Lock()
	defer q.mu.Unlock()
	items := q.items
	q.items = nil
	q.busy = len(items) > 0
	if !q.busy && q.handled != nil {
		close(q.handled)
		q.handled = nil
	}
	return items
}

// settle waits until all that was pushed is handled, or ctx ends.
func (q *queue[T]) settle(ctx context.Context) {
	q.mu.Lock()
	if !q.busy && len(q.items) == 0 {
		q.mu.Unlock()
		return
	}
	if q.handled == nil {
		q.handled = make(chan struct{})
	}
	handled := q.handled
	q.mu.Unlock()
	select {
	case <-handled:
	case <-ctx.Done():
	}
}

// signal marks a one-slot channel as worth a look.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
