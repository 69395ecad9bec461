package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"gwlab/lab/observe"
	"gwlab/reports/convergence"
)

// ear collects what happens in a lab: from the kernel of every node, and from
// the gatewayd of those that run one.
type ear struct {
	ready  chan struct{} // closed when nothing is missed any more
	failed chan struct{} // closed when the kernel cannot be listened to
	err    error         // set before failed is closed
}

func newEar() *ear { return &ear{ready: make(chan struct{}), failed: make(chan struct{})} }

// start listens until the lab's life ends, without waiting for anything. What
// it opens goes with the process, which does not outlive the lab.
func (e *ear) start(life context.Context, nodes []*node, events *hub) {
	paths := make(map[string]string)
	for _, n := range nodes {
		paths[n.model.Name] = n.namespace()
		if n.daemon != nil {
			go n.daemon.follow(life, events.add)
		}
	}
	watcher := observe.New(paths, destinations(nodes), func(ev convergence.Event) { events.add(ev) })
	go func() {
		err := watcher.Run(life)
		if life.Err() != nil {
			return
		}
		e.err = fmt.Errorf("listen to the kernel: %w", errors.Join(err, life.Err()))
		close(e.failed)
	}()
	go func() {
		select {
		case <-watcher.Ready():
			close(e.ready)
		case <-e.failed:
		case <-life.Done():
		}
	}()
}

// await returns once nothing that happens is missed.
func (e *ear) await(ctx context.Context) error {
	select {
	case <-e.ready:
	case <-e.failed:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-e.failed:
		return e.err
	default:
		return nil
	}
}

// destinations are where a lab's traffic goes: the networks of the nodes that
// do not route, if there is one that does. Each is looked up in every node.
func destinations(nodes []*node) []netip.Prefix {
	if !slices.ContainsFunc(nodes, func(n *node) bool { return n.model.Forwards() }) {
		return nil
	}
	var out []netip.Prefix
	seen := make(map[netip.Prefix]bool)
	for _, n := range nodes {
		if n.model.Forwards() {
			continue
		}
		for _, p := range n.model.Ports {
			for _, a := range p.Addresses {
				if net := a.Masked(); !seen[net] {
					seen[net] = true
					out = append(out, net)
				}
			}
		}
	}
	return out
}
