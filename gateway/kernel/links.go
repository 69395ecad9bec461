package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// subscriptionBuffer holds some 30,000 link messages: more than any storm
// brings before the reader gets its turn. If it overflows all the same, the
// watch reads everything anew.
const subscriptionBuffer = 32 << 20

// Watch follows the interfaces of one network namespace.
type Watch struct {
	file *os.File
	conn *conn // for reading everything
	buf  []byte
	seen map[int]link
}

var _ Links = (*Watch)(nil)

// NewLinks opens the subscription in the network namespace of the calling
// thread. Nothing is lost between NewLinks and Run.
func NewLinks() (*Watch, error) {
	c, err := dial()
	if err != nil {
		return nil, err
	}
	fd, err := subscribe()
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return &Watch{
		file: os.NewFile(uintptr(fd), "rtnetlink links"),
		conn: c,
		buf:  make([]byte, 64<<10),
		seen: map[int]link{},
	}, nil
}

func subscribe() (int, error) {
	const kind = unix.SOCK_RAW | unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK
	fd, err := unix.Socket(unix.AF_NETLINK, kind, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, fmt.Errorf("open link subscription: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, subscriptionBuffer),
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
	)
	for _, group := range []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR} {
		err = errors.Join(err, unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_ADD_MEMBERSHIP, group))
	}
	if err != nil {
		unix.Close(fd)
		return 0, fmt.Errorf("subscribe to links: %w", err)
	}
	return fd, nil
}

// Close ends the subscription.
func (w *Watch) Close() error { return errors.Join(w.file.Close(), w.conn.close()) }

// Run tells every interface that is there, then each change of carrier or
// admin state, each interface that goes (not Up), and, with an unchanged Up,
// each change of an interface's addresses. It returns when ctx ends.
func (w *Watch) Run(ctx context.Context, out chan<- LinkEvent) error {
	stop := context.AfterFunc(ctx, func() {
		_ = w.file.SetReadDeadline(time.Unix(0, 1)) // a pollable file takes deadlines
	})
	defer stop()
	events, err := w.resync()
	for err == nil {
		for _, e := range events {
			select {
			case out <- e:
			case <-ctx.Done():
				return nil
			}
		}
		events, err = w.next()
	}
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("watch links: %w", err)
}

// next waits for one datagram and returns what changed with it.
func (w *Watch) next() ([]LinkEvent, error) {
	raw, err := w.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	var size int
	var failure error
	err = raw.Read(func(fd uintptr) bool {
		size, _, failure = unix.Recvfrom(int(fd), w.buf, 0)
		return !errors.Is(failure, syscall.EAGAIN)
	})
	at := monotime.Now()
	switch {
	case err != nil:
		return nil, err
	case errors.Is(failure, unix.ENOBUFS):
		if err := w.drain(raw); err != nil {
			return nil, err
		}
		return w.resync()
	case errors.Is(failure, unix.EINTR):
		return nil, nil
	case failure != nil:
		return nil, os.NewSyscallError("recvfrom", failure)
	}
	var events []LinkEvent
	err = messages(w.buf[:size], func(typ, _ uint16, _ uint32, payload []byte) error {
		events = append(events, w.learn(typ, payload, at)...)
		return nil
	})
	return events, err
}

// drain empties the subscription after an overflow. The kernel reports the
// next overflow only once the queue has been empty: reading everything anew
// before that could miss what is dropped meanwhile.
func (w *Watch) drain(raw syscall.RawConn) error {
	return raw.Control(func(fd uintptr) {
		for {
			_, _, err := unix.Recvfrom(int(fd), w.buf, 0)
			if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
				return // EAGAIN: empty
			}
		}
	})
}

// learn takes one notification in.
func (w *Watch) learn(typ uint16, payload []byte, at int64) []LinkEvent {
	switch typ {
	case unix.RTM_NEWLINK:
		if l, ok := parseLink(payload); ok {
			return w.changed(l, at)
		}
	case unix.RTM_DELLINK:
		if l, ok := parseLink(payload); ok {
			return w.gone(l.index, at)
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		index, ok := parseAddress(payload)
		if l, known := w.seen[index]; ok && known {
			return []LinkEvent{event(l, at)}
		}
	}
	return nil
}

func (w *Watch) changed(l link, at int64) []LinkEvent {
	old, known := w.seen[l.index]
	if known && old == l {
		return nil
	}
	w.seen[l.index] = l
	var events []LinkEvent
	if known && old.name != l.name {
		old.up = false
		events = append(events, event(old, at))
	}
	return append(events, event(l, at))
}

func (w *Watch) gone(index int, at int64) []LinkEvent {
	l, known := w.seen[index]
	if !known {
		return nil
	}
	delete(w.seen, index)
	l.up = false
	return []LinkEvent{event(l, at)}
}

// resync compares with everything that is there now.
func (w *Watch) resync() ([]LinkEvent, error) {
	links, err := linksInKernel(w.conn)
	if err != nil {
		return nil, err
	}
	at := monotime.Now()
	var events []LinkEvent
	for index := range w.seen {
		if _, ok := links[index]; !ok {
			events = append(events, w.gone(index, at)...)
		}
	}
	for _, l := range links {
		events = append(events, w.changed(l, at)...)
	}
	return events, nil
}

func event(l link, at int64) LinkEvent {
	return LinkEvent{Interface: l.name, Index: l.index, Up: l.up, At: at}
}
