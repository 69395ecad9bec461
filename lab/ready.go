package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"gwlab/lab/kind"
	"gwlab/lab/proc"
)

const (
	// askAgain is how soon after an event nodes are asked again, and askAtLast
	// how long they are left alone without one: not every daemon tells what
	// happens to its sessions.
	askAgain  = 20 * time.Millisecond
	askAtLast = 200 * time.Millisecond
	// askLimit bounds one answer.
	askLimit = 2 * time.Second
)

// pending says what the given nodes still wait for, "gw1: bgp isp1/ipv4:
// Active", in the order of the nodes; stuck are the nodes that wait.
func pending(ctx context.Context, nodes []*node) (what []string, stuck []*node) {
	answers := make([][]string, len(nodes))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, n := range nodes {
		g.Go(func() error {
			answers[i] = n.pending(ctx)
			return nil
		})
	}
	g.Wait() //nolint:errcheck // none errs: an error is something to wait for
	for i, answer := range answers {
		for _, a := range answer {
			what = append(what, nodes[i].model.Name+": "+a)
		}
		if len(answer) > 0 {
			stuck = append(stuck, nodes[i])
		}
	}
	return what, stuck
}

// awaitReady returns once no node waits for anything and whatever happens in
// them is noticed.
func (s *supervisor) awaitReady(ctx context.Context) (readiness, error) {
	if err := s.ear.await(ctx); err != nil {
		return readiness{}, err
	}
	ask := s.ordered
	for {
		more := s.events.next()
		what, stuck := pending(ctx, ask)
		switch {
		case len(what) == 0 && len(ask) == len(s.ordered):
			return readiness{Ready: true}, nil
		case len(what) == 0: // those asked first may have changed their mind
			ask = s.ordered
			continue
		}
		ask = stuck
		if err := pause(ctx, more); err != nil {
			return readiness{Pending: what}, err
		}
	}
}

// pause waits for an event, neither too short nor too long.
func pause(ctx context.Context, event <-chan struct{}) error {
	soon, late := time.NewTimer(askAgain), time.NewTimer(askAtLast)
	defer soon.Stop()
	defer late.Stop()
	select {
	case <-soon.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-event:
	case <-late.C:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// pending says what the node waits for.
func (n *node) pending(ctx context.Context) []string {
	if on, _, _ := n.running(); !on {
		return []string{"powered off"}
	}
	if n.spec.Ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	what, err := n.spec.Ready(ctx, n.access())
	if err == nil {
		return what
	}
	if failing := n.failing(); len(failing) > 0 {
		return failing
	}
	return []string{err.Error()}
}

// troubled is from how many ends in a row on a process counts as failing.
const troubled = 3

// failing says which of the node's processes do not stay up, and the last
// thing they said.
func (n *node) failing() []string {
	_, _, all := n.running()
	var out []string
	for _, p := range all {
		if p.State == proc.Running && p.Failures < troubled {
			continue
		}
		log := filepath.Join(n.dir, p.Name+".log")
		out = append(out, fmt.Sprintf("%s is %s (%s; see %s)%s", p.Name, p.State, p.Reason, log, lastLine(log)))
	}
	return out
}

// access is how the node's kind asks it things.
func (n *node) access() kind.Access {
	return kind.Access{
		Run: func(ctx context.Context, argv ...string) ([]byte, error) {
			target, err := n.target()
			if err != nil {
				return nil, err
			}
			var out, bad bytes.Buffer
			code, err := proc.Exec(ctx, target, argv, proc.Stdio{Out: &out, Err: &bad})
			if err == nil && code != 0 {
				err = fmt.Errorf("%s: exit status %d: %s", argv[0], code, bytes.TrimSpace(bad.Bytes()))
			}
			return out.Bytes(), err
		},
		Dial: func(ctx context.Context, socket string) (net.Conn, error) {
			return dialNode(ctx, onHost(n.dir, socket))
		},
	}
}

// socketPoll is how often a socket that a process is about to make is tried,
// and socketLimit for how long.
const (
	socketPoll  = 2 * time.Millisecond
	socketLimit = 10 * time.Second
)

// awaitSocket waits until a process of the node answers at a socket.
func (n *node) awaitSocket(ctx context.Context, socket string) error {
	ctx, cancel := context.WithTimeout(ctx, socketLimit)
	defer cancel()
	tick := time.NewTicker(socketPoll)
	defer tick.Stop()
	for {
		c, err := dialNode(ctx, onHost(n.dir, socket))
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return err
		}
	}
}

// sessions as the node's daemon tells them; a daemon that does not answer has
// none.
func (n *node) sessions(ctx context.Context) []SessionStatus {
	if n.spec.Sessions != nil {
		ctx, cancel := context.WithTimeout(ctx, askLimit)
		defer cancel()
		list, err := n.spec.Sessions(ctx, n.access())
		if err != nil {
			return nil
		}
		var all []SessionStatus
		for _, s := range list {
			all = append(all, SessionStatus(s))
		}
		return all
	}
	if n.daemon == nil {
		return nil
	}
	s, err := n.daemon.status(ctx)
	if err != nil {
		return nil
	}
	return s.sessions()
}
