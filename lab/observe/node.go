package observe

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// receiveBuffer holds the messages of some 100,000 routes, in bytes.
const receiveBuffer = 32 << 20

// batchSize bounds how many messages are read before what they lead to is
// looked up.
const batchSize = 256

// Once crowd routes are gathered, and no link has moved of late, reading
// pauses: the buffer holds what comes, and waking for each message would cost
// more than all else. An event amid such a crowd is stamped late by up to a pause.
const (
	crowd = 32
	pause = 250 * time.Microsecond
)

// recheckAfter are the delays after a link event at which the kernel's state
// is compared again: what it does by itself about a dead link comes shortly
// after the link's own message, and without one.
var recheckAfter = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond}

// node is one namespace. Only its own goroutine touches it.
type node struct {
	name     string
	prefixes []netip.Prefix
	told     func(node string, at int64, c change)

	file     *os.File // the socket that listens
	conn     syscall.RawConn
	query    *query
	buf      []byte
	model    *model
	fib      map[netip.Prefix]string // what was last told
	dirty    int64                   // when something last changed that may move a way on; 0: nothing
	rechecks []int64                 // instants, ascending
	changed  burst
	deleted  burst
}

func newNode(name string, prefixes []netip.Prefix, told func(string, int64, change)) *node {
	return &node{
		name: name, prefixes: prefixes, told: told, model: newModel(), fib: map[netip.Prefix]string{},
		buf: make([]byte, 64<<10), changed: burst{kind: RouteChange}, deleted: burst{kind: RouteDelete},
	}
}

// open makes the sockets, on a thread inside the namespace.
func (n *node) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	n.file = os.NewFile(uintptr(fd), "netlink")
	if n.conn, err = n.file.SyscallConn(); err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer); err != nil {
		return fmt.Errorf("set netlink buffer: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind netlink: %w", err)
	}
	for _, g := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_NEXTHOP} {
		err := unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, g)
		if err != nil && g != unix.RTNLGRP_NEXTHOP { // absent before Linux 5.3
			return fmt.Errorf("join netlink group %d: %w", g, err)
		}
	}
	n.query, err = openQuery()
	return err
}

func (n *node) close() error {
	var errs []error
	if n.file != nil {
		errs = append(errs, n.file.Close())
	}
	if n.query != nil {
		errs = append(errs, n.query.Close())
	}
	return errors.Join(errs...)
}

// start reads the state that later messages change.
func (n *node) start(now int64) error {
	links, err := n.query.links()
	if err != nil {
		return err
	}
	for _, l := range links {
		n.model.links[l.index] = l
	}
	nexthops, err := n.query.nexthops()
	if err != nil {
		return err
	}
	n.model.replaceNexthops(nexthops)
	return n.lookUp(now, true)
}

func (n *node) run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = n.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for ctx.Err() == nil {
		if n.changed.count+n.deleted.count >= crowd && len(n.rechecks) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
		}
		if err := n.await(ctx); err != nil {
			return fmt.Errorf("watch node %s: %w", n.name, err)
		}
		if err := n.settle(monotime.Now()); err != nil {
			// The node may be half torn down; what can be heard still counts.
			n.told(n.name, monotime.Now(), change{kind: Failure, data: map[string]string{"error": err.Error()}})
		}
	}
	return nil
}

// await waits for messages, or until the next thing is due, and takes in
// what there is.
func (n *node) await(ctx context.Context) error {
	deadline := time.Time{}
	if due := n.due(); due != 0 {
		deadline = time.Now().Add(max(0, time.Duration(due-monotime.Now())))
	}
	if err := n.file.SetReadDeadline(deadline); err != nil {
		return err
	}
	if ctx.Err() != nil { // ended between the last look and the new deadline
		return nil
	}
	var failed error
	err := n.conn.Read(func(fd uintptr) bool {
		var got bool
		got, failed = n.receive(int(fd))
		return got || failed != nil
	})
	if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return failed
}

// due returns when there is something to do without a message, 0 for never.
func (n *node) due() int64 {
	var first int64
	times := append([]int64{n.changed.due(), n.deleted.due()}, n.rechecks...)
	for _, t := range times {
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

// receive takes in what lies ready; got is false if nothing did.
func (n *node) receive(fd int) (got bool, err error) {
	for range batchSize {
		size, err := unix.Read(fd, n.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return got, nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			n.told(n.name, monotime.Now(), change{kind: Overrun})
			n.rechecks = append([]int64{1}, n.rechecks...)
			return true, nil
		case err != nil:
			return got, fmt.Errorf("receive from netlink: %w", err)
		}
		got = true
		at := monotime.Now()
		for m := range messages(n.buf[:size]) {
			n.take(at, m)
		}
	}
	return got, nil
}

// settle does what is due: rechecks, look-ups, gathered events.
func (n *node) settle(now int64) error {
	var err error
	if len(n.rechecks) > 0 && n.rechecks[0] <= now {
		for len(n.rechecks) > 0 && n.rechecks[0] <= now {
			n.rechecks = n.rechecks[1:]
		}
		err = n.recheck(now)
	}
	if n.dirty != 0 {
		err = errors.Join(err, n.lookUp(n.dirty, false))
		n.dirty = 0
	}
	for _, b := range []*burst{&n.changed, &n.deleted} {
		if at, c, ok := b.flush(now); ok {
			n.told(n.name, at, c)
		}
	}
	return err
}
