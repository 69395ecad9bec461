package observe

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// Once crowd routes are gathered in a node, and no link has moved of late,
// reading pauses: the buffers hold what comes, and waking for each message
// would cost more than all else. An event amid such a crowd is stamped late by
// up to a pause.
const (
	crowd = 32
	pause = 250 * time.Microsecond
)

// poller waits for messages of all nodes at once.
type poller struct {
	epoll int
	wake  int // readable once the watch is to end
	nodes []*node
}

func newPoller(nodes []*node) (*poller, error) {
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("create epoll: %w", err)
	}
	p := &poller{epoll: epoll, wake: -1, nodes: nodes}
	if p.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err == nil {
		err = p.add(p.wake, -1)
	}
	for i, n := range nodes {
		if err == nil {
			err = p.add(n.fd, i)
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("watch sockets: %w", err), p.Close())
	}
	return p, nil
}

// add registers a socket under the place of its node.
func (p *poller) add(fd, place int) error {
	return unix.EpollCtl(p.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(place)})
}

func (p *poller) Close() error {
	err := unix.Close(p.epoll)
	if p.wake >= 0 {
		err = errors.Join(err, unix.Close(p.wake))
	}
	return err
}

// run takes in messages and does what is due until ctx ends.
func (p *poller) run(ctx context.Context) error {
	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_, _ = unix.Write(p.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
		close(woken)
	})
	defer func() {
		if !stop() {
			<-woken // the descriptor must not be closed under its writer
		}
	}()
	events := make([]unix.EpollEvent, 64)
	for ctx.Err() == nil {
		got, err := unix.EpollWait(p.epoll, events, p.timeout(monotime.Now()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for messages: %w", err)
		}
		for _, e := range events[:max(got, 0)] {
			if e.Fd < 0 {
				return nil
			}
			n := p.nodes[e.Fd]
			if err := n.receive(); err != nil {
				return fmt.Errorf("watch node %s: %w", n.name, err)
			}
		}
		now := monotime.Now()
		for _, n := range p.nodes {
			n.settle(now)
		}
		if p.crowded() {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
	}
	return nil
}

// timeout returns how long to wait at most, in milliseconds, -1 for as long
// as it takes.
func (p *poller) timeout(now int64) int {
	var first int64
	for _, n := range p.nodes {
		if due := n.due(); due != 0 && (first == 0 || due < first) {
			first = due
		}
	}
	if first == 0 {
		return -1
	}
	return int((max(0, first-now) + int64(time.Millisecond) - 1) / int64(time.Millisecond))
}

// crowded reports whether reading may pause.
func (p *poller) crowded() bool {
	many := false
	for _, n := range p.nodes {
		if len(n.rechecks) > 0 {
			return false
		}
		many = many || n.changed.count+n.deleted.count >= crowd
	}
	return many
}
