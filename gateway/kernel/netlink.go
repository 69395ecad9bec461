package kernel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sendBuffer holds a batch of chunkRoutes messages with room to spare.
	sendBuffer = 1 << 20
	// replyBuffer holds one error per message of a batch, several times over.
	replyBuffer = 8 << 20
	// replyTimeout bounds the wait for an answer. The kernel answers before
	// sendmsg returns: only a lost answer is ever waited for.
	replyTimeout = 5 * time.Second
)

// errInterrupted says that a dump raced with a change and may miss objects.
var errInterrupted = errors.New("dump interrupted by a concurrent change")

// conn is one rtnetlink socket. It is not safe for concurrent use.
type conn struct {
	fd  int
	seq uint32
	buf []byte
}

// dial opens a socket in the network namespace of the calling thread; it
// stays there whichever thread uses it later.
func dial() (*conn, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink socket: %w", err)
	}
	c := &conn{fd: fd, buf: make([]byte, 64<<10)}
	if err := c.setup(); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return c, nil
}

func (c *conn) setup() error {
	if err := unix.Bind(c.fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("bind netlink socket: %w", err)
	}
	for _, o := range []struct {
		level, name, value int
	}{
		{unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer},
		{unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, replyBuffer},
		{unix.SOL_NETLINK, unix.NETLINK_CAP_ACK, 1},
		{unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1},
		{unix.SOL_NETLINK, unix.NETLINK_GET_STRICT_CHK, 1},
	} {
		if err := unix.SetsockoptInt(c.fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set netlink socket option %d: %w", o.name, err)
		}
	}
	tv := unix.NsecToTimeval(int64(replyTimeout))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fmt.Errorf("set netlink receive timeout: %w", err)
	}
	return nil
}

func (c *conn) close() error { return os.NewSyscallError("close", unix.Close(c.fd)) }

// kernelError is the kernel's refusal of one message.
type kernelError struct {
	errno unix.Errno
	text  string // the kernel's own words (extended ACK), may be empty
}

func (e *kernelError) Error() string {
	if e.text == "" {
		return e.errno.Error()
	}
	return e.errno.Error() + ": " + e.text
}

func (e *kernelError) Unwrap() error { return e.errno }

// exec sends a batch in one system call and waits for the answer to its last
// message, which the kernel gives after it has worked through all of them.
// It returns the refused messages by their number in the batch.
func (c *conn) exec(b *batch) (map[int]*kernelError, error) {
	if b.count == 0 {
		return nil, nil
	}
	first := c.seq + 1
	c.seq += uint32(b.count)
	b.number(first)
	if err := unix.Sendto(c.fd, b.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("send %d netlink messages: %w", b.count, err)
	}
	var refused map[int]*kernelError
	for done := false; !done; {
		err := c.receive(func(typ, _ uint16, seq uint32, payload []byte) error {
			i := int(seq - first)
			if typ != unix.NLMSG_ERROR || i < 0 || i >= b.count {
				return nil // the answer to an earlier batch that timed out
			}
			if e := parseError(payload); e != nil {
				if refused == nil {
					refused = map[int]*kernelError{}
				}
				refused[i] = e
			}
			done = done || i == b.count-1
			return nil
		})
		if err != nil {
			return refused, fmt.Errorf("receive netlink answer: %w", err)
		}
	}
	return refused, nil
}

// dump sends one request and hands every message of the answer to each.
func (c *conn) dump(b *batch, each func(typ uint16, payload []byte)) error {
	c.seq++
	b.number(c.seq)
	if err := unix.Sendto(c.fd, b.buf, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("send netlink dump request: %w", err)
	}
	interrupted := false
	for done := false; !done; {
		err := c.receive(func(typ, flags uint16, seq uint32, payload []byte) error {
			if seq != c.seq {
				return nil
			}
			interrupted = interrupted || flags&unix.NLM_F_DUMP_INTR != 0
			switch typ {
			case unix.NLMSG_DONE:
				done = true
			case unix.NLMSG_ERROR:
				done = true
				if e := parseError(payload); e != nil {
					return e
				}
			default:
				each(typ, payload)
				done = done || flags&unix.NLM_F_MULTI == 0
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("receive netlink dump: %w", err)
		}
	}
	if interrupted {
		return errInterrupted
	}
	return nil
}

// receive reads one datagram and hands on each message in it.
func (c *conn) receive(each func(typ, flags uint16, seq uint32, payload []byte) error) error {
	n, _, err := unix.Recvfrom(c.fd, c.buf, 0)
	if errors.Is(err, unix.EINTR) {
		return nil
	}
	if err != nil {
		return os.NewSyscallError("recvfrom", err)
	}
	return messages(c.buf[:n], each)
}

// messages walks the messages of one datagram.
func messages(data []byte, each func(typ, flags uint16, seq uint32, payload []byte) error) error {
	for len(data) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(data))
		if size < unix.NLMSG_HDRLEN || size > len(data) {
			return fmt.Errorf("read netlink message: length %d of %d bytes", size, len(data))
		}
		typ, flags := binary.NativeEndian.Uint16(data[4:]), binary.NativeEndian.Uint16(data[6:])
		if err := each(typ, flags, binary.NativeEndian.Uint32(data[8:]), data[unix.NLMSG_HDRLEN:size]); err != nil {
			return err
		}
		data = data[min(align(size), len(data)):]
	}
	return nil
}

// parseError reads the payload of an NLMSG_ERROR; nil is an ACK.
func parseError(payload []byte) *kernelError {
	const textAttr = 1 // NLMSGERR_ATTR_MSG
	if len(payload) < 4 {
		return &kernelError{errno: unix.EBADMSG}
	}
	code := int32(binary.NativeEndian.Uint32(payload))
	if code == 0 {
		return nil
	}
	e := &kernelError{errno: unix.Errno(-code)}
	if rest := payload[4:]; len(rest) > unix.NLMSG_HDRLEN {
		attributes(rest[unix.NLMSG_HDRLEN:], func(typ uint16, value []byte) {
			if typ == textAttr {
				e.text = cstring(value)
			}
		})
	}
	return e
}

// attributes walks a list of netlink attributes; a malformed tail is ignored.
func attributes(data []byte, each func(typ uint16, value []byte)) {
	const typeMask = 0x3fff // without NLA_F_NESTED and NLA_F_NET_BYTEORDER
	for len(data) >= unix.SizeofNlAttr {
		size := int(binary.NativeEndian.Uint16(data))
		if size < unix.SizeofNlAttr || size > len(data) {
			return
		}
		each(binary.NativeEndian.Uint16(data[2:])&typeMask, data[unix.SizeofNlAttr:size])
		data = data[min(align(size), len(data)):]
	}
}

func cstring(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

func align(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
