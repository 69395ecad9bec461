package agent

import "sync"

// queue hands items to one reader in order. push never waits, whatever the
// reader does.
type queue[T any] struct {
	mu    sync.Mutex
	items []T
	ready chan struct{}
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
	return items
}

// signal marks a one-slot channel as worth a look.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
