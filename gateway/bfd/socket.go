package bfd

import (
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

const (
	controlPort = 3784 // RFC 5881 §4
	hopLimit    = 255  // RFC 5881 §5 (GTSM)
	tos         = 0xc0 // CS6, network control
	portFirst   = 49152
	portCount   = 65536 - portFirst
)

// setInts sets socket options until one fails.
func setInts(fd int, options [][3]int) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o[0], o[1], o[2]); err != nil {
			return fmt.Errorf("set socket option %d/%d: %w", o[0], o[1], err)
		}
	}
	return nil
}

// attach looks the interface up and opens the transmit socket as soon as
// interface and local address exist. It reports whether the path is new: the
// socket was just opened or the carrier just came.
func (t *thread) attach(p *peer) bool {
	index, running := t.lookUp(p.key.Interface)
	came := running && !p.running
	p.running = running
	if index != p.ifindex {
		p.closeSocket()
		p.ifindex = index
	}
	if index == 0 || p.fd >= 0 {
		return came
	}
	return t.openSocket(p) && running
}

// refresh follows the links and addresses after rtnetlink reported a change,
// and greets the peer at once where a path has come up.
func (t *thread) refresh() {
	for _, p := range t.peers {
		if t.attach(p) {
			t.event.kind = evLink
			t.step(p, monotime.Now())
		}
	}
}

// openSocket opens the transmit socket of a session: its own source port for
// its whole life (RFC 5881 §4), hop limit 255, bound to the interface.
func (t *thread) openSocket(p *peer) bool {
	family := unix.AF_INET
	options := [][3]int{{unix.IPPROTO_IP, unix.IP_TTL, hopLimit}, {unix.IPPROTO_IP, unix.IP_TOS, tos}}
	if p.remote.Is6() {
		family = unix.AF_INET6
		options = [][3]int{{unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1},
			{unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, hopLimit}, {unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tos}}
	}
	// What may come back to the source port is nobody's: keep it out of memory.
	options = append(options, [3]int{unix.SOL_SOCKET, unix.SO_RCVBUF, 0})
	fd, err := unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return false
	}
	if setInts(fd, options) != nil || unix.BindToDevice(fd, p.key.Interface) != nil || !t.bindPort(fd, p) {
		unix.Close(fd)
		return false
	}
	p.fd = fd
	p.dst, p.dstLen = rawSockaddr(p.remote, controlPort, uint32(p.ifindex))
	return true
}

// bindPort binds to the local address and a source port that no other session
// has. A session keeps its port when its socket has to be opened again.
func (t *thread) bindPort(fd int, p *peer) bool {
	for range 32 {
		if p.port == 0 {
			p.port = t.freePort()
		}
		err := bind(fd, p.local, p.port, p.ifindex, p.remote.Is6())
		if err == nil {
			return true
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return false // the address is not there yet
		}
		p.port = 0
	}
	return false
}

func (t *thread) freePort() uint16 {
	for {
		port := uint16(portFirst + t.rand.IntN(portCount))
		taken := false
		for _, other := range t.peers {
			taken = taken || other.port == port
		}
		if !taken || len(t.peers) >= portCount {
			return port
		}
	}
}

func bind(fd int, local netip.Addr, port uint16, ifindex int32, v6 bool) error {
	if !v6 {
		sa := &unix.SockaddrInet4{Port: int(port)}
		if local.Is4() {
			sa.Addr = local.As4()
		}
		return unix.Bind(fd, sa)
	}
	sa := &unix.SockaddrInet6{Port: int(port)}
	if local.Is6() {
		sa.Addr = local.As16()
		if local.IsLinkLocalUnicast() {
			sa.ZoneId = uint32(ifindex)
		}
	}
	return unix.Bind(fd, sa)
}

func (p *peer) closeSocket() {
	if p.fd >= 0 {
		unix.Close(p.fd)
		p.fd = -1
	}
}

// rawSockaddr prepares the destination for sendto.
func rawSockaddr(addr netip.Addr, port uint16, ifindex uint32) (unsafe.Pointer, uintptr) {
	bigEndian := port<<8 | port>>8
	if addr.Is4() {
		sa := &unix.RawSockaddrInet4{Family: unix.AF_INET, Port: bigEndian, Addr: addr.As4()}
		return unsafe.Pointer(sa), unsafe.Sizeof(*sa)
	}
	sa := &unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: bigEndian, Addr: addr.As16()}
	if addr.IsLinkLocalUnicast() {
		sa.Scope_id = ifindex
	}
	return unsafe.Pointer(sa), unsafe.Sizeof(*sa)
}

// openLinks subscribes to links and addresses of the namespace.
func openLinks() (int, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return -1, fmt.Errorf("open bfd link watch: %w", err)
	}
	groups := uint32(unix.RTMGRP_LINK | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV6_IFADDR)
	if err := unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: groups}); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("bind bfd link watch: %w", err)
	}
	return fd, nil
}

// lookUp returns the index of an interface, 0 if there is none of that name,
// and whether it has carrier. Any socket of the namespace serves to ask.
func (t *thread) lookUp(name string) (index int32, running bool) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, false
	}
	fd := t.listeners[0].fd
	if unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr) != nil {
		return 0, false
	}
	index = int32(ifr.Uint32())
	if unix.IoctlIfreq(fd, unix.SIOCGIFFLAGS, ifr) != nil {
		return 0, false
	}
	return index, ifr.Uint16()&unix.IFF_RUNNING != 0
}
