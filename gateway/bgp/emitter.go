package bgp

import (
	"context"
	"net/netip"
	"sync"

	"gwlab/gateway/state"
	"gwlab/internal/monotime"
)

// emitter tells the outside what happened, in order, from one goroutine.
// While the reader is busy, changes of best paths collect: the latest of each
// prefix wins. A peer event divides them, so that "synced" comes after every
// route that preceded it.
type emitter struct {
	updates func(Update)
	peers   func(PeerEvent)

	mu    sync.Mutex
	queue []told
	wake  chan struct{}
}

// told is one thing to tell: changes, or a peer event.
type told struct {
	changes map[netip.Prefix]*group
	at      int64
	peer    *PeerEvent
}

func newEmitter(d Deps) *emitter {
	return &emitter{updates: d.Updates, peers: d.Peers, wake: make(chan struct{}, 1)}
}

// set records a prefix's new group; nil deletes it.
func (e *emitter) set(p netip.Prefix, g *group) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if n := len(e.queue); n == 0 || e.queue[n-1].changes == nil {
		e.queue = append(e.queue, told{changes: map[netip.Prefix]*group{}, at: monotime.Now()})
	}
	e.queue[len(e.queue)-1].changes[p] = g
}

func (e *emitter) event(ev PeerEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(e.queue, told{peer: &ev})
}

// flush lets run take what was recorded.
func (e *emitter) flush() { signal(e.wake) }

// run delivers until ctx ends.
func (e *emitter) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.wake:
		}
		e.deliver()
	}
}

// deliver hands over everything recorded so far, and what comes meanwhile.
func (e *emitter) deliver() {
	for {
		e.mu.Lock()
		if len(e.queue) == 0 {
			e.mu.Unlock()
			return
		}
		next := e.queue[0]
		e.queue = e.queue[1:]
		e.mu.Unlock()
		if next.peer != nil {
			if e.peers != nil {
				e.peers(*next.peer)
			}
			continue
		}
		if e.updates != nil {
			e.updates(next.update())
		}
	}
}

func (t told) update() Update {
	u := Update{Set: make(map[netip.Prefix]state.Group, len(t.changes)), At: t.at}
	for p, g := range t.changes {
		if g == nil {
			u.Delete = append(u.Delete, p)
			continue
		}
		u.Set[p] = g.Group
	}
	return u
}

// signal wakes the reader of a one-slot channel, at most once.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
