package bgp

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"gwlab/gateway/config"
	"gwlab/gateway/state"
	"gwlab/internal/monotime"
)

// Deps are what a Router needs of its surroundings. All may be zero.
type Deps struct {
	// Updates gets every change of best paths, in order, from one goroutine.
	// While it runs, further changes collect: the latest of a prefix wins.
	Updates func(Update)
	// Peers gets session transitions from the same goroutine, in order with
	// the updates around them.
	Peers func(PeerEvent)
	Log   *slog.Logger
	// Restarting: this process takes over from one that ended, and the
	// kernel still forwards by its routes (RFC 4724 §4.1). Updates come as
	// paths are learned: the reader keeps what it has and they do not name
	// until the peers are synced or SelectionDeferral has passed.
	Restarting bool
	// AwaitFIB: a prefix that had no route is announced to peers only once
	// Programmed has named it. Without, a peer may send packets here before
	// the kernel knows where they go on.
	AwaitFIB bool
	// Net opens the sockets; default those of the process's namespace.
	Net Net
}

// chunk is how many table entries are worked on before the lock is let go:
// enough to fill UPDATE messages, and about a millisecond.
const chunk = 1024

// Router is a BGP speaker. One lock guards all of it and is never held over
// I/O: readers, the timer loop and the Speaker methods take turns, none for
// longer than one message or one chunk.
type Router struct {
	deps   Deps
	log    *slog.Logger
	emit   *emitter
	wake   chan struct{}
	jitter func() float64

	mu         sync.Mutex
	cfg        config.Config
	ctx        context.Context // of Run, until it stops the sessions; nil outside
	tasks      sync.WaitGroup
	peers      []*peer // in configuration order
	local      *peer
	origin     *attributes // of every originated network
	listeners  []*listener
	table      *table
	groups     *groups
	decider    decider
	jobs       []job
	nextID     int
	armed      int64 // what the timer loop waits for
	draining   bool
	deferring  bool // restarting: own End-of-RIB waits for the peers'
	deferUntil int64
}

var _ Speaker = (*Router)(nil)

// New returns a Router that does nothing until Run.
func New(cfg config.Config, deps Deps) (*Router, error) {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	if deps.Net == nil {
		deps.Net = HostNet()
	}
	r := &Router{
		deps: deps, log: deps.Log, emit: newEmitter(deps), wake: make(chan struct{}, 1), jitter: rand.Float64,
		table: newTable(), groups: newGroups(), deferUntil: never, armed: never,
	}
	r.origin = &attributes{key: "originated"}
	r.local = &peer{router: r, local: true, session: 1, staleAt: never, imports: matcher{all: true}}
	if err := r.Configure(cfg); err != nil {
		return nil, err
	}
	return r, nil
}

// Run implements Speaker. It can be called once. The end of Run withdraws
// nothing from the reader of Updates.
func (r *Router) Run(ctx context.Context) error {
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	if err := r.start(work); err != nil {
		return err
	}
	var emitting sync.WaitGroup
	emitting.Go(func() { r.emit.run(work) })
	r.loop(ctx)
	r.stop()
	stop()
	r.tasks.Wait()
	emitting.Wait()
	r.emit.deliver()
	return nil
}

// start opens the listeners and lets every machine go.
func (r *Router) start(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil {
		return fmt.Errorf("run BGP speaker: it runs already")
	}
	if err := r.listen(ctx); err != nil {
		r.closeListeners()
		return err
	}
	r.ctx = ctx
	r.startDeferral(monotime.Now())
	for _, p := range r.peers {
		p.step(evStart{})
	}
	return nil
}

// stop closes every session with Cease/Administrative Shutdown (RFC 4486).
func (r *Router) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closeListeners()
	for _, p := range r.peers {
		p.step(evStop{cease(bgp.BGP_ERROR_SUB_ADMINISTRATIVE_SHUTDOWN, "")})
	}
	// The table stays as it is: what the kernel forwards by must outlive this
	// process, so the end of the sessions is not told as the end of the routes.
	r.jobs = nil
	r.ctx = nil // a Configure that comes late starts nothing
	r.emit.flush()
}

// loop runs timers and table work until ctx ends.
func (r *Router) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait, busy := r.turn()
		if busy {
			continue
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
		case <-r.wake:
		case <-timer.C:
		}
	}
}

// turn does what is due, and one chunk of table work. It returns how long
// nothing is due.
func (r *Router) turn() (wait time.Duration, busy bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := monotime.Now()
	for _, p := range r.peers {
		if p.fsm.deadline() > now {
			continue
		}
		for id, s := range p.links { // what was heard but not yet handled counts
			p.step(evHeard{id, s.heardAt.Load()})
		}
		p.step(evTick{})
	}
	r.expire(now)
	busy = r.work()
	r.settle()
	r.armed = r.deadline()
	return min(time.Hour, time.Duration(max(0, r.armed-monotime.Now()))), busy
}

// work does one chunk of the first job and puts it last.
func (r *Router) work() (busy bool) {
	if len(r.jobs) == 0 {
		return false
	}
	j := r.jobs[0]
	r.jobs = r.jobs[1:]
	if !j.run(chunk) {
		r.jobs = append(r.jobs, j)
	}
	return len(r.jobs) > 0
}

func (r *Router) deadline() int64 {
	at := r.deferUntil
	for _, p := range r.peers {
		at = min(at, p.fsm.deadline(), p.staleAt)
	}
	return at
}

// settle lets the writers and the emitter go on with what was queued, and
// wakes the loop when it has become due earlier.
func (r *Router) settle() {
	for _, p := range r.peers {
		if p.conn != nil {
			p.conn.flush()
		}
	}
	r.emit.flush()
	if at := r.deadline(); len(r.jobs) > 0 || at < r.armed {
		r.armed = min(r.armed, at)
		signal(r.wake)
	}
}

// decide runs the decision process for a prefix and tells the FIB and the
// peers what changed.
func (r *Router) decide(e *entry) {
	best := r.decider.decide(e.paths)
	var g *group
	if best.peer != nil && !best.peer.local {
		g = r.groups.of(r.decider.primary, r.decider.backup)
	}
	if g != e.group {
		switch {
		case g == nil:
			e.held = false
		case e.group == nil:
			// A restarting speaker's routes are in the kernel already.
			e.held = r.deps.AwaitFIB && !r.deferring
		}
		e.group = g
		r.emit.set(e.prefix, g)
	}
	changed := best.peer != e.best.peer || best.attrs != e.best.attrs || best.pref != e.best.pref
	e.best = best
	if changed {
		for _, p := range r.peers {
			p.advertise(e)
		}
	}
	if len(e.paths) == 0 {
		r.table.release(e)
	}
}

// Programmed implements Speaker.
func (r *Router) Programmed(set map[netip.Prefix]state.Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for prefix := range set {
		if e, ok := r.table.byPrefix[prefix]; ok && e.held {
			e.held = false
			for _, p := range r.peers {
				p.advertise(e)
			}
		}
		if n++; n%chunk == 0 {
			r.settle()
			r.mu.Unlock()
			r.mu.Lock()
		}
	}
	r.settle()
}

// SetReachable implements Speaker.
func (r *Router) SetReachable(addr netip.Addr, reachable bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peer(addr)
	if p == nil {
		return
	}
	p.step(evReachable{reachable})
	if !reachable && p.retain {
		p.giveUp("peer is not reachable") // it will not come back by itself: forwarding is dead
	}
	r.checkDeferral()
	r.settle()
}

func (r *Router) peer(addr netip.Addr) *peer {
	i := slices.IndexFunc(r.peers, func(p *peer) bool { return p.cfg.Address == addr })
	if i < 0 {
		return nil
	}
	return r.peers[i]
}

// Drain implements Speaker.
func (r *Router) Drain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.draining {
		return
	}
	r.draining = true
	for _, p := range r.peers {
		p.reexport()
	}
	r.settle()
}

// Status implements Speaker.
func (r *Router) Status() []PeerStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]PeerStatus, len(r.peers))
	for i, p := range r.peers {
		out[i] = p.status()
	}
	return out
}

// Routes implements Speaker. Originated networks have an empty group. What
// changes while a large table is copied may be in it or not.
func (r *Router) Routes() map[netip.Prefix]state.Group {
	out := map[netip.Prefix]state.Group{}
	for from, more := 0, true; more; from += chunk {
		more = r.copyRoutes(out, from)
	}
	return out
}

// copyRoutes copies one chunk and tells whether there is another.
func (r *Router) copyRoutes(out map[netip.Prefix]state.Group, from int) (more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	end := min(from+chunk, len(r.table.slots))
	for _, e := range r.table.slots[min(from, end):end] {
		switch {
		case e == nil:
		case e.group != nil:
			out[e.prefix] = e.group.Group
		case e.best.peer != nil:
			out[e.prefix] = state.Group{}
		}
	}
	return end < len(r.table.slots)
}
