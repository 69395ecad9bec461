package probe

import (
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer holds several seconds of the largest rate.
	receiveBuffer = 32 << 20
	sendBuffer    = 1 << 20
)

// openReceiver binds an unconnected UDP socket in the calling thread's
// namespace that stamps packets and counts those it had no room for. It is
// not connected, so that flows whose source was translated arrive too.
func openReceiver(dst netip.AddrPort) (int, error) {
	fd, err := openSocket(dst)
	if err != nil {
		return -1, fmt.Errorf("open receiver %s: %w", dst, err)
	}
	err = errors.Join(
		forceBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1),
		unix.Bind(fd, sockaddr(dst)),
	)
	if err != nil {
		return -1, errors.Join(fmt.Errorf("open receiver %s: %w", dst, err), unix.Close(fd))
	}
	return fd, nil
}

// openSender binds and connects a UDP socket in the calling thread's namespace.
func openSender(e endpoints) (int, error) {
	fd, err := openSocket(e.src)
	if err != nil {
		return -1, fmt.Errorf("open sender %s: %w", e.src, err)
	}
	err = errors.Join(
		forceBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer),
		unix.Bind(fd, sockaddr(e.src)),
	)
	if err == nil {
		err = unix.Connect(fd, sockaddr(e.dst))
	}
	if err != nil {
		return -1, errors.Join(fmt.Errorf("open sender %s to %s: %w", e.src, e.dst, err), unix.Close(fd))
	}
	return fd, nil
}

func openSocket(a netip.AddrPort) (int, error) {
	family := unix.AF_INET6
	if a.Addr().Is4() {
		family = unix.AF_INET
	}
	return unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
}

// forceBuffer sets a buffer beyond the machine's limit where that is
// permitted, else up to it: a short buffer shows as overruns.
func forceBuffer(fd, force, plain, size int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size); !errors.Is(err, unix.EPERM) {
		return err
	}
	return unix.SetsockoptInt(fd, unix.SOL_SOCKET, plain, size)
}

func sockaddr(a netip.AddrPort) unix.Sockaddr {
	if a.Addr().Is4() {
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
