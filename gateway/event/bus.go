package event

import (
	"context"
	"sync"
)

// Bus is a [Sink] that remembers the last events and hands them to any number
// of subscribers. Emit never waits for one: a subscriber reads at its own
// pace from the shared history, and one that falls further behind than the
// history is long is told how many events it missed.
type Bus struct {
	mu   sync.Mutex
	ring []Event
	next uint64 // sequence number of the next event; ring[seq % len] holds seq
	subs map[*Subscription]struct{}
}

// NewBus returns a bus that remembers the last history events, at least one.
func NewBus(history int) *Bus {
	return &Bus{ring: make([]Event, max(1, history)), subs: map[*Subscription]struct{}{}}
}

// Emit records the event and wakes the subscribers. The event's Data must not
// change afterwards.
func (b *Bus) Emit(e Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ring[b.next%uint64(len(b.ring))] = e
	b.next++
	for s := range b.subs {
		select {
		case s.wake <- struct{}{}:
		default: // already awake, it will see this event too
		}
	}
}

// Subscribe starts at the oldest event still remembered that happened after
// since (CLOCK_MONOTONIC, ns); 0 means all of the history. Close ends it.
func (b *Bus) Subscribe(since int64) *Subscription {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := &Subscription{bus: b, since: since, next: b.oldest(), wake: make(chan struct{}, 1)}
	s.wake <- struct{}{}
	b.subs[s] = struct{}{}
	return s
}

func (b *Bus) oldest() uint64 {
	if n := uint64(len(b.ring)); b.next > n {
		return b.next - n
	}
	return 0
}

// Subscription is one reader's place in a [Bus]. One goroutine uses it.
type Subscription struct {
	bus   *Bus
	since int64
	next  uint64
	wake  chan struct{}
}

// Pending returns what has been emitted since the last call, oldest first,
// and how many events were forgotten before they could be read. It never waits.
func (s *Subscription) Pending() (events []Event, dropped uint64) {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	if oldest := s.bus.oldest(); s.next < oldest {
		dropped, s.next = oldest-s.next, oldest
	}
	for ; s.next < s.bus.next; s.next++ {
		if e := s.bus.ring[s.next%uint64(len(s.bus.ring))]; e.T > s.since {
			events = append(events, e)
		}
	}
	return events, dropped
}

// Next is Pending that waits until there is something or ctx ends.
func (s *Subscription) Next(ctx context.Context) (events []Event, dropped uint64, err error) {
	for {
		if events, dropped = s.Pending(); len(events) > 0 || dropped > 0 {
			return events, dropped, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// Close forgets the subscription.
func (s *Subscription) Close() {
	s.bus.mu.Lock()
	defer s.bus.mu.Unlock()
	delete(s.bus.subs, s)
}
