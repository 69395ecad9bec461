package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/event"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// Deps are the siblings that an Agent directs. It runs none of them but Links.
type Deps struct {
	Speaker bgp.Speaker
	BFD     bfd.Service
	FIB     kernel.FIB
	Links   kernel.Links
	Events  event.Sink
	Log     *slog.Logger // nil means silence
}

// Agent turns what happened into what shall be. Give OnBFD, OnUpdate and
// OnPeer to the siblings as their callbacks; none of the three ever blocks.
//
// Three goroutines share the work so that none waits for a slower one: the
// fast path repairs, another tells BGP who can be reached, and the bulk path
// programs routes.
type Agent struct {
	deps Deps
	log  *slog.Logger

	happened *queue[happening] // for the fast path
	reaches  *queue[reach]     // for BGP
	bulk     *bulk

	mu     sync.Mutex // guards what follows
	cfg    config.Config
	repair Repair
}

// happening is one event for the fast path; exactly one field is set.
type happening struct {
	config *config.Config
	bfd    *bfd.Change
	link   *kernel.LinkEvent
	peer   *bgp.PeerEvent
	hops   []state.NextHop
}

// New returns an agent at rest.
func New(cfg config.Config, deps Deps) *Agent {
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	a := &Agent{
		deps:     deps,
		log:      deps.Log,
		happened: newQueue[happening](),
		reaches:  newQueue[reach](),
		cfg:      cfg,
	}
	a.bulk = newBulk(deps, a.log, func(hops []state.NextHop) { a.happened.push(happening{hops: hops}) }, a.happened.settle)
	return a
}

// Run adopts what an earlier run left in the kernel, configures the siblings
// and works until ctx ends. It leaves the kernel as it is: packets keep flowing.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.deps.FIB.Adopt(); err != nil {
		return fmt.Errorf("adopt routes: %w", err)
	}
	g, ctx := errgroup.WithContext(ctx)
	links := make(chan kernel.LinkEvent, 64)
	g.Go(func() error { return a.deps.Links.Run(ctx, links) })
	g.Go(func() error { return a.forward(ctx, links) })
	g.Go(func() error { return a.fast(ctx) })
	g.Go(func() error { return a.tellBGP(ctx) })
	cfg := a.config()
	g.Go(func() error { return a.bulk.run(ctx, cfg) })
	g.Go(func() error { return a.Configure(cfg) })
	return g.Wait()
}

// Configure makes the siblings follow another configuration. On error BGP
// keeps the old one, and so does everything else.
func (a *Agent) Configure(cfg config.Config) error {
	if err := a.deps.Speaker.Configure(cfg); err != nil {
		return fmt.Errorf("configure bgp: %w", err)
	}
	a.mu.Lock()
	a.cfg = cfg
	a.mu.Unlock()
	a.happened.push(happening{config: &cfg})
	a.bulk.configure(cfg)
	a.deps.BFD.Set(sessions(cfg))
	return nil
}

// sessions are the BFD sessions that the configuration asks for.
func sessions(cfg config.Config) map[bfd.Key]bfd.Params {
	out := map[bfd.Key]bfd.Params{}
	for _, n := range cfg.Neighbors {
		if n.BFD.Off {
			continue
		}
		key := bfd.Key{Interface: n.Interface, Local: n.LocalAddress, Peer: n.Address}
		out[key] = bfd.Params{Interval: n.BFD.Interval, Multiplier: uint8(min(max(n.BFD.Multiplier, 0), 255))}
	}
	return out
}

// OnBFD takes a session's change in. It only puts it into a queue: the
// caller is the thread that sends the packets.
func (a *Agent) OnBFD(c bfd.Change) { a.happened.push(happening{bfd: &c}) }

// OnPeer takes a BGP session's transition in.
func (a *Agent) OnPeer(e bgp.PeerEvent) {
	a.happened.push(happening{peer: &e})
	a.bulk.session(e)
	a.emitPeer(e)
}

// OnUpdate takes a change of best paths in. While an earlier one is being
// programmed they collect, the latest of each prefix counts.
func (a *Agent) OnUpdate(u bgp.Update) {
	a.emitBest(u)
	a.bulk.add(u) // takes the map over
}

// forward moves link events to the fast path. Those that tell of addresses
// alone are nothing new.
func (a *Agent) forward(ctx context.Context, links <-chan kernel.LinkEvent) error {
	last := map[string]bool{}
	for {
		select {
		case e := <-links:
			if up, known := last[e.Interface]; !known || up != e.Up {
				last[e.Interface] = e.Up
				a.happened.push(happening{link: &e})
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// tellBGP tells the speaker who can be reached, in order. It has a goroutine
// of its own because the speaker may be busy, and the next repair is not to
// wait for that.
func (a *Agent) tellBGP(ctx context.Context) error {
	for {
		for _, r := range a.reaches.take() {
			a.deps.Speaker.SetReachable(r.peer, r.reachable)
		}
		select {
		case <-a.reaches.ready:
		case <-ctx.Done():
			return nil
		}
	}
}

func (a *Agent) config() config.Config {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cfg
}

func (a *Agent) neighbor(addr netip.Addr) config.Neighbor {
	for _, n := range a.config().Neighbors {
		if n.Address == addr {
			return n
		}
	}
	return config.Neighbor{Address: addr, Name: addr.String()}
}

// Snapshot is the agent as the operator sees it.
type Snapshot struct {
	// Routes is how many routes are wanted in the kernel.
	Routes int
	// Programmed: all of them are written.
	Programmed bool
	// Clean: the last audit found the kernel as desired.
	Clean bool
	// Swept: stale routes of an earlier run are removed.
	Swept  bool
	Repair Repair // the last one, zero if there was none
}

// Repair is one run of the fast path that failed a next hop.
type Repair struct {
	Cause   string // "bfd" or "carrier"
	NextHop state.NextHop
	Groups  int
	Took    time.Duration
	At      int64 // CLOCK_MONOTONIC, ns, of its end
}

// Snapshot returns the present state.
func (a *Agent) Snapshot() Snapshot {
	s := a.bulk.snapshot()
	a.mu.Lock()
	defer a.mu.Unlock()
	s.Repair = a.repair
	return s
}

// Routes is how many routes are wanted in the kernel.
func (a *Agent) Routes() int { return a.Snapshot().Routes }

// Programmed tells whether nothing waits to be written to the kernel.
func (a *Agent) Programmed() bool { return a.Snapshot().Programmed }
