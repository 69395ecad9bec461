package observe

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

// query is a netlink socket for questions, apart from the one that listens.
type query struct {
	fd  int
	seq uint32
	buf []byte
}

func openQuery() (*query, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	// The kernel answers within the call; the limit is for the unforeseen.
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("set netlink timeout: %w", err)
	}
	return &query{fd: fd, buf: make([]byte, 64<<10)}, nil
}

func (q *query) Close() error { return unix.Close(q.fd) }

// errInterrupted: what was listed changed meanwhile, the list may have holes.
var errInterrupted = errors.New("dump was interrupted by a change")

// refusal is the kernel's own answer, as against a failure to ask it.
type refusal struct{ errno unix.Errno }

func (r refusal) Error() string { return r.errno.Error() }
func (r refusal) Unwrap() error { return r.errno }

// ask sends one request and hands every answer to fn.
func (q *query) ask(kind, flags uint16, body []byte, fn func([]byte)) error {
	q.seq++
	req := native.AppendUint32(nil, uint32(unix.SizeofNlMsghdr+len(body)))
	req = native.AppendUint16(req, kind)
	req = native.AppendUint16(req, flags|unix.NLM_F_REQUEST|unix.NLM_F_ACK)
	req = native.AppendUint32(req, q.seq)
	req = append(native.AppendUint32(req, 0), body...)
	if err := unix.Sendto(q.fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send to netlink: %w", err)
	}
	interrupted := false
	for {
		n, err := unix.Read(q.fd, q.buf)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("receive from netlink: %w", err)
		}
		if n >= unix.SizeofNlMsghdr && native.Uint32(q.buf[8:]) != q.seq {
			continue // the late answer to a question that was given up
		}
		for m := range messages(q.buf[:n]) {
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			switch m.kind {
			case unix.NLMSG_DONE:
				if interrupted {
					return errInterrupted
				}
				return nil
			case unix.NLMSG_ERROR:
				if code := int32(number(m.body)); code != 0 {
					return refusal{unix.Errno(-code)}
				}
				return nil
			default:
				fn(m.body)
			}
		}
	}
}

// dump lists, again if the list changed under it.
func (q *query) dump(kind uint16, header int, reset func(), fn func([]byte)) error {
	var err error
	for range 5 {
		reset()
		if err = q.ask(kind, unix.NLM_F_DUMP, make([]byte, header), fn); !errors.Is(err, errInterrupted) {
			break
		}
	}
	return err
}

func (q *query) links() (list []link, err error) {
	err = q.dump(unix.RTM_GETLINK, unix.SizeofIfInfomsg, func() { list = nil }, func(b []byte) {
		if l, err := parseLink(b); err == nil {
			list = append(list, l)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	return list, nil
}

// nexthops is empty on a kernel without next hop objects.
func (q *query) nexthops() (list []nexthop, err error) {
	err = q.dump(unix.RTM_GETNEXTHOP, sizeofNhMsg, func() { list = nil }, func(b []byte) {
		if n, err := parseNexthop(b); err == nil {
			list = append(list, n)
		}
	})
	if err != nil && !errors.Is(err, unix.EOPNOTSUPP) {
		return nil, fmt.Errorf("list next hops: %w", err)
	}
	return list, nil
}

// fibMatch is RTM_F_FIB_MATCH of linux/rtnetlink.h: answer with the route
// that matches, not with the path one packet would take.
const fibMatch = 0x2000

// route returns the route of the main lookup that an address matches; ok is
// false when there is none or it leads nowhere.
func (q *query) route(to netip.Addr) (r route, ok bool, err error) {
	family := byte(unix.AF_INET)
	if to.Is6() {
		family = unix.AF_INET6
	}
	body := make([]byte, unix.SizeofRtMsg)
	body[0], body[1] = family, byte(to.BitLen())
	native.PutUint32(body[8:], fibMatch)
	body = native.AppendUint16(body, uint16(unix.SizeofRtAttr+to.BitLen()/8))
	body = native.AppendUint16(body, unix.RTA_DST)
	body = append(body, to.AsSlice()...)
	err = q.ask(unix.RTM_GETROUTE, 0, body, func(b []byte) {
		if got, err := parseRoute(b); err == nil {
			r, ok = got, true
		}
	})
	var refused refusal
	switch {
	case errors.As(err, &refused): // unreachable, prohibited, blackhole: no way on
		return route{}, false, nil
	case err != nil:
		return route{}, false, fmt.Errorf("look up %s: %w", to, err)
	}
	if r.kind != unix.RTN_UNICAST && r.kind != unix.RTN_LOCAL {
		return route{}, false, nil
	}
	return r, ok, nil
}
