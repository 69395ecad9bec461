package observe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// receiveBuffer holds the messages of some 100,000 routes, in bytes.
const receiveBuffer = 32 << 20

// batchSize bounds how many messages are read before what they lead to is
// looked up.
const batchSize = 64

// recheckAfter are the delays after a link event at which the kernel's state
// is compared again: what it does by itself about a dead link comes shortly
// after the link's own message, and without one.
var recheckAfter = [...]time.Duration{time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond}

// node is one namespace. Only the watcher's goroutine touches it.
type node struct {
	name     string
	prefixes []netip.Prefix
	told     func(node string, at int64, c change)

	fd       int // the socket that listens; -1 before open
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
		name: name, fd: -1, prefixes: prefixes, told: told, model: newModel(), fib: map[netip.Prefix]string{},
		buf: make([]byte, 64<<10), changed: burst{kind: RouteChange}, deleted: burst{kind: RouteDelete},
	}
}

// open makes the sockets, on a thread inside the namespace.
func (n *node) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open netlink: %w", err)
	}
	n.fd = fd
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
	if n.fd >= 0 {
		errs = append(errs, unix.Close(n.fd))
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

// due returns when there is something to do without a message, 0 for never.
func (n *node) due() int64 {
	var first int64
	next := [...]int64{n.changed.due(), n.deleted.due(), 0}
	if len(n.rechecks) > 0 {
		next[2] = n.rechecks[0]
	}
	for _, t := range next {
		if t != 0 && (first == 0 || t < first) {
			first = t
		}
	}
	return first
}

// receive takes in what lies ready, up to a batch. Once messages were lost
// the kernel drops more of them, without a word, until everything that lies
// ready is read: only then is the state worth reading anew.
func (n *node) receive() error {
	lost := false
	for i := 0; i < batchSize || lost; i++ {
		size, err := unix.Read(n.fd, n.buf)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if lost {
				n.rechecks = append([]int64{1}, n.rechecks...)
			}
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS):
			if !lost {
				n.told(n.name, monotime.Now(), change{kind: Overrun})
			}
			lost = true
			continue
		case err != nil:
			return fmt.Errorf("receive from netlink: %w", err)
		}
		at := monotime.Now()
		for m := range messages(n.buf[:size]) {
			n.take(at, m)
		}
	}
	return nil
}

// settle does what is due: rechecks, look-ups, gathered events. A node may be
// half torn down: what cannot be read is told, and what can be heard counts on.
func (n *node) settle(now int64) {
	var errs []error
	if len(n.rechecks) > 0 && n.rechecks[0] <= now {
		for len(n.rechecks) > 0 && n.rechecks[0] <= now {
			n.rechecks = n.rechecks[1:]
		}
		errs = append(errs, n.recheck(now))
	}
	if n.dirty != 0 {
		errs = append(errs, n.lookUp(n.dirty, false))
		n.dirty = 0
	}
	for _, b := range []*burst{&n.changed, &n.deleted} {
		if at, c, ok := b.flush(now); ok {
			n.told(n.name, at, c)
		}
	}
	if err := errors.Join(errs...); err != nil {
		n.told(n.name, now, change{kind: Failure, data: map[string]string{"error": err.Error()}})
	}
}
