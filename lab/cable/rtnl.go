package cable

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// iface is what the kernel says of an interface.
type iface struct {
	index int
	peer  int // IFLA_LINK: the index of a veth's other end
	flags uint32
	name  string
}

// rtnl is a routing netlink socket, bound for life to the namespace of the
// thread that opened it.
type rtnl struct {
	fd  int
	buf []byte
}

func openRTNL() (*rtnl, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	return &rtnl{fd: fd}, nil
}

func (s *rtnl) Close() error { return unix.Close(s.fd) }

// do sends a batch and returns once the kernel has done all of it, with the
// interfaces it described. The first refusal is the error; the requests after
// it are done all the same.
func (s *rtnl) do(b *batch) ([]iface, error) {
	if len(b.about) == 0 {
		return nil, nil
	}
	// Refusals are always reported: one acknowledgement, of the last request,
	// is enough to know that all are done.
	native.PutUint16(b.buf[b.start+6:], native.Uint16(b.buf[b.start+6:])|unix.NLM_F_ACK)
	if err := unix.Sendto(s.fd, b.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send to netlink: %w", err)
	}
	if s.buf == nil {
		s.buf = make([]byte, 64<<10)
	}
	var links []iface
	var refused error
	for {
		n, _, err := unix.Recvfrom(s.fd, s.buf, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive from netlink: %w", err)
		}
		for rest := s.buf[:n]; len(rest) >= unix.SizeofNlMsghdr; {
			size := int(native.Uint32(rest))
			if size < unix.SizeofNlMsghdr || size > len(rest) {
				return nil, errors.New("receive from netlink: truncated message")
			}
			seq := int(native.Uint32(rest[8:]))
			body := rest[unix.SizeofNlMsghdr:size]
			switch native.Uint16(rest[4:]) {
			case unix.RTM_NEWLINK:
				links = append(links, parseLink(body))
			case unix.NLMSG_ERROR:
				code := int32(native.Uint32(body))
				if code != 0 && refused == nil {
					refused = fmt.Errorf("%s: %w", b.about[min(seq, len(b.about)-1)], unix.Errno(-code))
				}
				if seq == len(b.about)-1 {
					return links, refused
				}
			}
			rest = rest[min(len(rest), (size+3)&^3):]
		}
	}
}

// parseLink reads a struct ifinfomsg and the attributes after it.
func parseLink(body []byte) iface {
	var l iface
	if len(body) < unix.SizeofIfInfomsg {
		return l
	}
	l.index = int(int32(native.Uint32(body[4:])))
	l.flags = native.Uint32(body[8:])
	for rest := body[unix.SizeofIfInfomsg:]; len(rest) >= 4; {
		size := int(native.Uint16(rest))
		if size < 4 || size > len(rest) {
			break
		}
		value := rest[4:size]
		switch native.Uint16(rest[2:]) {
		case unix.IFLA_LINK:
			if len(value) >= 4 {
				l.peer = int(native.Uint32(value))
			}
		case unix.IFLA_IFNAME:
			l.name = unix.ByteSliceToString(value)
		}
		rest = rest[min(len(rest), (size+3)&^3):]
	}
	return l
}
