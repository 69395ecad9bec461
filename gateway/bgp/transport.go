package bgp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"gwlab/gateway/config"
)

// Net opens the sockets of a speaker. The default uses the network namespace
// of the process; another lets several speakers share one process.
type Net interface {
	// Listen opens a TCP listener; control runs on the socket before bind.
	Listen(ctx context.Context, network, address string, control func(fd int) error) (net.Listener, error)
	// Dial connects from local (zero address: any) to remote.
	Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort, control func(fd int) error) (net.Conn, error)
	// Subnet returns the connected subnet an address of this host is in.
	Subnet(local netip.Addr) (netip.Prefix, error)
}

// hostNet is the namespace of the calling thread.
type hostNet struct{}

// HostNet returns the sockets of the calling thread's network namespace, for
// an implementation of Net to run on a thread of its choice: none of its
// methods leaves the calling goroutine to create a socket.
func HostNet() Net { return hostNet{} }

func (hostNet) Listen(ctx context.Context, network, address string, control func(int) error) (net.Listener, error) {
	lc := net.ListenConfig{Control: onSocket(control)}
	return lc.Listen(ctx, network, address)
}

func (hostNet) Dial(ctx context.Context, local netip.Addr, remote netip.AddrPort, control func(int) error) (net.Conn, error) {
	d := net.Dialer{Control: onSocket(control), KeepAlive: -1}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	return d.DialContext(ctx, "tcp", remote.String())
}

func (hostNet) Subnet(local netip.Addr) (netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr() == local {
			return p.Masked(), nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("find subnet of %s: no such address", local)
}

func onSocket(control func(int) error) func(string, string, syscall.RawConn) error {
	return func(_, _ string, c syscall.RawConn) error { return withFD(c, control) }
}

func withFD(c syscall.RawConn, f func(int) error) error {
	var inner error
	if err := c.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return fmt.Errorf("reach socket: %w", err)
	}
	return inner
}

const (
	// internetwork control, the precedence RFC 4271 implementations use.
	tosControl = 0xc0
	// ttlSecured is what RFC 5082 sends and wants to see.
	ttlSecured = 255
)

// secure sets a session's socket up for its peer: precedence, TTL (RFC 5082,
// or 1 towards a single-hop external peer).
func secure(fd int, n config.Neighbor, external bool) error {
	ttl, minTTL := 64, 0
	switch {
	case n.TTLSecurity:
		ttl, minTTL = ttlSecured, ttlSecured
	case external:
		ttl = 1
	}
	type option struct{ level, name, value int }
	options := []option{
		{unix.IPPROTO_IP, unix.IP_TOS, tosControl}, {unix.IPPROTO_IP, unix.IP_TTL, ttl}, {unix.IPPROTO_IP, unix.IP_MINTTL, minTTL},
	}
	if n.Address.Is6() {
		options = []option{
			{unix.IPPROTO_IPV6, unix.IPV6_TCLASS, tosControl}, {unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, ttl},
			{unix.IPPROTO_IPV6, unix.IPV6_MINHOPCOUNT, minTTL},
		}
	}
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return fmt.Errorf("set socket option %d: %w", o.name, err)
		}
	}
	return nil
}

// setMD5 gives a socket the key of one peer (RFC 2385); an empty password
// takes it away.
func setMD5(fd int, peer netip.Addr, password string) error {
	sig := unix.TCPMD5Sig{}
	sig.Keylen = uint16(copy(sig.Key[:], password))
	switch {
	case peer.Is4():
		sig.Addr.Family = unix.AF_INET
		a := peer.As4()
		copy(sig.Addr.Data[2:], a[:]) // behind sin_port
	default:
		sig.Addr.Family = unix.AF_INET6
		a := peer.As16()
		copy(sig.Addr.Data[6:], a[:]) // behind sin6_port and sin6_flowinfo
	}
	if err := unix.SetsockoptTCPMD5Sig(fd, unix.IPPROTO_TCP, unix.TCP_MD5SIG, &sig); err != nil {
		return fmt.Errorf("set TCP MD5 key of %s: %w", peer, err)
	}
	return nil
}

// prepareListener readies a listener: its SYN-ACK must satisfy peers with TTL
// security, and only one family is meant.
func prepareListener(fd int, ipv6 bool) error {
	level, ttl, tos := unix.IPPROTO_IP, unix.IP_TTL, unix.IP_TOS
	if ipv6 {
		level, ttl, tos = unix.IPPROTO_IPV6, unix.IPV6_UNICAST_HOPS, unix.IPV6_TCLASS
	}
	if err := unix.SetsockoptInt(fd, level, ttl, ttlSecured); err != nil {
		return fmt.Errorf("set listener TTL: %w", err)
	}
	if err := unix.SetsockoptInt(fd, level, tos, tosControl); err != nil {
		return fmt.Errorf("set listener precedence: %w", err)
	}
	return nil
}
