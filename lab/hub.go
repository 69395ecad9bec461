package lab

import (
	"context"
	"sync"

	"gwlab/reports/convergence"
)

// historyLimit bounds the events kept for a watcher that comes late.
const historyLimit = 1 << 18

// hub keeps a lab's events and hands them to any number of watchers. Adding
// never blocks: a slow watcher falls behind in the history, and one that
// falls out of it misses the oldest events.
type hub struct {
	mu     sync.Mutex
	events []convergence.Event
	first  int           // number of events[0] since the start
	more   chan struct{} // closed when an event is added
}

func newHub() *hub { return &hub{more: make(chan struct{})} }

func (h *hub) add(events ...convergence.Event) {
	if len(events) == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, events...)
	if extra := len(h.events) - historyLimit; extra > historyLimit/8 {
		h.events = append([]convergence.Event(nil), h.events[extra:]...)
		h.first += extra
	}
	close(h.more)
	h.more = make(chan struct{})
}

// after returns the events from number n on, the number of the next one to
// come, and a channel that is closed when it has come.
func (h *hub) after(n int) (events []convergence.Event, next int, more <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n = max(n, h.first)
	return h.events[n-h.first:], h.first + len(h.events), h.more
}

// next is closed when another event is added.
func (h *hub) next() <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.more
}

// watch calls fn for every event, old ones first, until ctx ends or fn errs.
func (h *hub) watch(ctx context.Context, fn func([]convergence.Event) error) error {
	n := 0
	for {
		events, next, more := h.after(n)
		if len(events) > 0 {
			if err := fn(events); err != nil {
				return err
			}
			n = next
			continue
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
