package agent

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/state"
)

const (
	// auditEvery is how often the kernel is compared with the desired state
	// when there is nothing to program.
	auditEvery = 5 * time.Second
	// retryAfter is how long a failed update waits for its next attempt.
	retryAfter = 200 * time.Millisecond
)

// bulk is the path of routes: it is the one caller of Update, Audit and Sweep.
type bulk struct {
	deps  Deps
	log   *slog.Logger
	learn func([]state.NextHop)
	// repairs waits until the fast path has nothing left to do.
	repairs func(context.Context)
	ready   chan struct{}
	known   map[state.NextHop]bool // next hops that learn was told of

	mu      sync.Mutex // guards what follows
	pending work
	busy    bool
	wanted  map[netip.Prefix]struct{}
	peers   map[netip.Addr]bool // configured; true: synced
	clean   bool
	swept   bool
}

// work is what the bulk path has to do.
type work struct {
	set     map[netip.Prefix]state.Group
	del     map[netip.Prefix]struct{}
	refresh bool // routes may be missing
	audit   bool // something went wrong
}

func (w *work) empty() bool { return len(w.set)+len(w.del) == 0 && !w.refresh && !w.audit }

func newBulk(deps Deps, log *slog.Logger, learn func([]state.NextHop), repairs func(context.Context)) *bulk {
	return &bulk{
		deps:    deps,
		log:     log,
		learn:   learn,
		repairs: repairs,
		ready:   make(chan struct{}, 1),
		known:   map[state.NextHop]bool{},
		pending: newWork(),
		wanted:  map[netip.Prefix]struct{}{},
		peers:   map[netip.Addr]bool{},
	}
}

func newWork() work {
	return work{set: map[netip.Prefix]state.Group{}, del: map[netip.Prefix]struct{}{}}
}

// add takes an update in.
func (b *bulk) add(u bgp.Update) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.pending.set)+len(b.pending.del) == 0 {
		b.pending.set = u.Set // taken over: the giver is done with it
		if u.Set == nil {
			b.pending.set = map[netip.Prefix]state.Group{}
		}
	} else {
		for p, g := range u.Set {
			b.pending.set[p] = g
			delete(b.pending.del, p)
		}
	}
	for p := range u.Set {
		b.wanted[p] = struct{}{}
	}
	for _, p := range u.Delete {
		b.pending.del[p] = struct{}{}
		delete(b.pending.set, p)
		delete(b.wanted, p)
	}
	signal(b.ready)
}

// poke asks to look for routes that the kernel lost; suspect for an audit.
func (b *bulk) poke()    { b.want(func(w *work) { w.refresh = true }) }
func (b *bulk) suspect() { b.want(func(w *work) { w.audit = true }) }

func (b *bulk) want(mark func(*work)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	mark(&b.pending)
	signal(b.ready)
}

// configure sets whose End-of-RIB is awaited before stale routes are swept.
func (b *bulk) configure(cfg config.Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.peers
	b.peers = map[netip.Addr]bool{}
	for _, n := range cfg.Neighbors {
		b.peers[n.Address] = before[n.Address]
	}
	signal(b.ready)
}

// session notes whose End-of-RIB came. What it told before is in pending.
func (b *bulk) session(e bgp.PeerEvent) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.peers[e.Peer]; ok && e.Synced {
		b.peers[e.Peer] = true
		signal(b.ready)
	}
}

// run works until ctx ends. The first sweep comes when every peer is synced,
// or SelectionDeferral after the start (RFC 4724 §4.1).
func (b *bulk) run(ctx context.Context, cfg config.Config) error {
	b.configure(cfg)
	audit := time.NewTicker(auditEvery)
	defer audit.Stop()
	deferral := time.NewTimer(cfg.BGP.GracefulRestart.SelectionDeferral)
	defer deferral.Stop()
	retry := time.NewTimer(retryAfter)
	retry.Stop()
	defer retry.Stop()
	late := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-b.ready:
		case <-retry.C:
		case <-audit.C:
			b.auditWhenIdle()
			continue
		case <-deferral.C:
			late = true
		}
		// What changed routes may have killed next hops too. Repairs that wait
		// go before routes, which would take the processor and the kernel's lock.
		b.repairs(ctx)
		if !b.program() || !b.sweepWhenDue(late) {
			retry.Reset(retryAfter)
		}
	}
}

// program makes the kernel follow what is pending; false: it has to be tried again.
func (b *bulk) program() bool {
	b.mu.Lock()
	w := b.pending
	b.pending = newWork()
	b.busy = true
	b.mu.Unlock()
	ok := b.apply(w)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.busy = false
	if !ok {
		b.putBack(w)
	}
	return ok
}

func (b *bulk) apply(w work) bool {
	if w.empty() {
		return true
	}
	b.meet(w.set)
	del := make([]netip.Prefix, 0, len(w.del))
	for p := range w.del {
		del = append(del, p)
	}
	applied, err := b.deps.FIB.Update(w.set, del)
	if applied.Routes+applied.Groups+applied.NextHops > 0 {
		b.deps.Events.Emit(programmed(applied))
	}
	if err != nil {
		b.log.Error("program routes, to be repeated", "err", err)
		return false
	}
	if len(w.set) > 0 {
		b.deps.Speaker.Programmed(w.set)
	}
	return !w.audit || b.audit()
}

// putBack joins work that failed with what came since, which counts more.
func (b *bulk) putBack(w work) {
	for p, g := range w.set {
		_, deleted := b.pending.del[p]
		if _, newer := b.pending.set[p]; !newer && !deleted {
			b.pending.set[p] = g
		}
	}
	for p := range w.del {
		if _, newer := b.pending.set[p]; !newer {
			b.pending.del[p] = struct{}{}
		}
	}
	b.pending.refresh, b.pending.audit = true, true
}

// meet tells the fast path of next hops not seen before. Routes share their
// groups' slices, so few of them are looked into.
func (b *bulk) meet(set map[netip.Prefix]state.Group) {
	type slices struct{ primary, backup *state.NextHop }
	seen := map[slices]bool{}
	var fresh []state.NextHop
	for _, g := range set {
		s := slices{first(g.Primary), first(g.Backup)}
		if seen[s] {
			continue
		}
		seen[s] = true
		for _, h := range g.Hops() {
			if !b.known[h] {
				b.known[h] = true
				fresh = append(fresh, h)
			}
		}
	}
	if len(fresh) > 0 {
		b.learn(fresh)
	}
}

func first(hops []state.NextHop) *state.NextHop {
	if len(hops) == 0 {
		return nil
	}
	return &hops[0]
}

func (b *bulk) auditWhenIdle() {
	b.mu.Lock()
	idle := b.pending.empty()
	b.mu.Unlock()
	if idle {
		b.audit()
	}
}

// audit reports whether it could be done, not whether all was well.
func (b *bulk) audit() bool {
	findings, err := b.deps.FIB.Audit()
	if len(findings) > 0 {
		b.log.Warn("the kernel differed from the desired state", "mended", len(findings), "first", findings[0])
		b.deps.Events.Emit(mended(findings))
	}
	b.mu.Lock()
	b.clean = err == nil && len(findings) == 0
	b.mu.Unlock()
	if err != nil {
		b.log.Error("audit the kernel", "err", err)
	}
	return err == nil
}

// synced tells that every peer sent its whole table and all of it is
// programmed, and nothing was swept yet.
func (b *bulk) synced() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, ok := range b.peers {
		if !ok {
			return false
		}
	}
	return !b.swept && len(b.pending.set)+len(b.pending.del) == 0
}

// sweepWhenDue sweeps once, when every peer is synced or it is late; false:
// it has to be tried again.
func (b *bulk) sweepWhenDue(late bool) bool {
	switch {
	case b.synced():
		return b.sweep("End-of-RIB of every peer")
	case late:
		return b.sweep("selection deferral time")
	}
	return true
}

// sweep removes what an earlier run left and nobody claimed, unless that is done.
func (b *bulk) sweep(why string) bool {
	b.mu.Lock()
	done := b.swept
	b.mu.Unlock()
	if done {
		return true
	}
	routes, err := b.deps.FIB.Sweep()
	b.mu.Lock()
	b.swept = err == nil
	b.pending.audit = b.pending.audit || err != nil
	b.mu.Unlock()
	if err != nil {
		b.log.Error("sweep stale routes, to be repeated after an audit", "err", err)
	}
	b.deps.Events.Emit(swept(routes, why))
	return err == nil
}

func (b *bulk) snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return Snapshot{
		Routes:     len(b.wanted),
		Programmed: !b.busy && len(b.pending.set)+len(b.pending.del) == 0,
		Clean:      b.clean,
		Swept:      b.swept,
	}
}
