package observe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"gwlab/internal/monotime"
	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

// The kinds of event, with the keys of Data. Source is "netlink"; T is when
// the message was received. Via are the ways on that carry traffic; standby,
// when there, are members of a resilient group that have no bucket.
const (
	LinkUp        = "link.up"         // key: port
	LinkDown      = "link.down"       // key: port; reason: carrier, admin, deleted
	RouteChange   = "route.change"    // key: prefix; via, standby, proto, metric, table, nexthop; or count, last_ns for a burst
	RouteDelete   = "route.delete"    // as RouteChange
	NexthopChange = "nexthop.change"  // key: id; via, standby; cause=link when the kernel did it by itself
	NexthopDelete = "nexthop.delete"  // key: id; cause
	FIBChange     = "fib.change"      // key and prefix; via: interfaces; nexthops; standby; route: the one matched; initial=true at the start
	Overrun       = "observe.overrun" // messages were lost; the state has been read anew
	Failure       = "observe.failure" // error: the node's state could not be read
	source        = "netlink"
)

// Watcher listens in the namespaces of a set of nodes.
type Watcher struct {
	nodes    map[string]string
	prefixes []netip.Prefix
	ready    chan struct{}
	out      func(convergence.Event)
}

// New makes a watcher of nodes, name to namespace path. Routes that overlap
// one of the prefixes, and default routes, are told of one by one, all others
// by number; of each prefix the ways on are followed whatever changes them.
// Events go to out, which Run calls and which should not keep it waiting, one
// at a time and close to the order of their T.
func New(nodes map[string]string, prefixes []netip.Prefix, out func(convergence.Event)) *Watcher {
	return &Watcher{nodes: nodes, prefixes: prefixes, ready: make(chan struct{}), out: out}
}

// Watch runs a new watcher until ctx ends.
func Watch(ctx context.Context, nodes map[string]string, out func(convergence.Event), prefixes ...netip.Prefix) error {
	return New(nodes, prefixes, out).Run(ctx)
}

// Ready is closed once nothing that happens in any of the nodes is missed.
func (w *Watcher) Ready() <-chan struct{} { return w.ready }

// Run listens until ctx ends, which is no error. Its sockets hold the
// namespaces: they end no sooner than it returns. It runs once.
func (w *Watcher) Run(ctx context.Context) error {
	thread := netns.NewThread()
	defer thread.Close()
	var nodes []*node
	defer func() {
		for _, n := range nodes {
			_ = n.close()
		}
	}()
	for name, path := range w.nodes {
		n := newNode(name, w.prefixes, w.emit)
		if err := thread.Do(path, n.open); err != nil {
			return errors.Join(fmt.Errorf("watch node %s: %w", name, err), n.close())
		}
		nodes = append(nodes, n)
	}
	p, err := newPoller(nodes)
	if err != nil {
		return err
	}
	defer func() { _ = p.Close() }()
	for _, n := range nodes {
		if err := n.start(monotime.Now()); err != nil {
			return fmt.Errorf("watch node %s: %w", n.name, err)
		}
	}
	close(w.ready)
	return p.run(ctx)
}

func (w *Watcher) emit(node string, at int64, c change) {
	w.out(convergence.Event{T: at, Source: source, Node: node, Kind: c.kind, Key: c.key, Data: c.data})
}
