package bgp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// listener accepts the connections of one family.
type listener struct {
	net.Listener
	ipv6 bool
}

func (l *listener) close() { _ = l.Close() } // nothing is lost with a listener

// setKey gives the listener a peer's MD5 key, or takes it away.
func (l *listener) setKey(peer netip.Addr, password string) error {
	c, ok := l.Listener.(syscall.Conn)
	if !ok || l.ipv6 != peer.Is6() {
		return nil
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach listener: %w", err)
	}
	return withFD(raw, func(fd int) error { return setMD5(fd, peer, password) })
}

// listen opens what is missing of one listener a family that has peers.
func (r *Router) listen(ctx context.Context) error {
	return errors.Join(r.listenFamily(ctx, false), r.listenFamily(ctx, true))
}

func (r *Router) closeListeners() {
	for _, l := range r.listeners {
		l.close()
	}
	r.listeners = nil
}

func (r *Router) listenFamily(ctx context.Context, ipv6 bool) error {
	network, host, wanted := "tcp4", "0.0.0.0", false
	if ipv6 {
		network, host = "tcp6", "::"
	}
	for _, p := range r.peers {
		wanted = wanted || p.cfg.Address.Is6() == ipv6
	}
	for _, l := range r.listeners {
		wanted = wanted && l.ipv6 != ipv6
	}
	if !wanted {
		return nil
	}
	address := net.JoinHostPort(host, fmt.Sprint(r.cfg.BGP.Port))
	inner, err := r.deps.Net.Listen(ctx, network, address, func(fd int) error { return prepareListener(fd, ipv6) })
	if err != nil {
		return fmt.Errorf("listen for BGP: %w", err)
	}
	l := &listener{inner, ipv6}
	r.listeners = append(r.listeners, l)
	for _, p := range r.peers {
		if p.cfg.Password == "" {
			continue
		}
		if err := l.setKey(p.cfg.Address, p.cfg.Password); err != nil {
			return err
		}
	}
	r.tasks.Go(func() { r.acceptFrom(ctx, l) })
	return nil
}

// acceptRetry is how long a listener rests that could not accept, for want of
// file descriptors or memory.
const acceptRetry = 100 * time.Millisecond

// acceptFrom hands connections over until the listener closes.
func (r *Router) acceptFrom(ctx context.Context, l *listener) {
	for {
		c, err := l.Accept()
		switch {
		case err == nil:
			r.accepted(c)
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		r.log.Warn("BGP connection not accepted", "error", err)
		select {
		case <-ctx.Done():
			return
		case <-time.After(acceptRetry):
		}
	}
}

// accepted gives an inbound connection to the peer it comes from.
func (r *Router) accepted(c net.Conn) {
	from, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		_ = c.Close()
		return
	}
	subnet := r.subnetOf(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peer(from.Addr().Unmap())
	if p == nil || !p.fsm.running() {
		_ = c.Close() // silence towards strangers
		return
	}
	if err := secureConn(c, p); err != nil {
		r.log.Warn("BGP connection refused", "peer", p.cfg.Name, "error", err)
		_ = c.Close()
		return
	}
	p.step(evAccepted{r.adopt(p, c, subnet)})
}

func secureConn(c net.Conn, p *peer) error {
	s, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach connection: %w", err)
	}
	return withFD(raw, func(fd int) error { return secure(fd, p.cfg, p.external()) })
}

// adopt makes a connection a session of the peer and starts its goroutines.
func (r *Router) adopt(p *peer, c net.Conn, subnet netip.Prefix) int {
	r.nextID++
	s := newSession(r.nextID, p, c, subnet)
	p.links[s.id] = s
	r.tasks.Go(s.write)
	r.tasks.Go(func() { s.read(r) })
	return s.id
}

// subnetOf is the subnet a connection's local address is in. Without one only
// the peer itself is a usable next hop.
func (r *Router) subnetOf(c net.Conn) netip.Prefix {
	local, err := netip.ParseAddrPort(c.LocalAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	subnet, err := r.deps.Net.Subnet(local.Addr().Unmap())
	if err != nil {
		r.log.Debug("third-party next hops are off", "error", err)
	}
	return subnet
}

// dial connects to the peer in the background.
func (r *Router) dial(p *peer) {
	if r.ctx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(r.ctx, max(r.cfg.BGP.ConnectRetry, 100*time.Millisecond))
	p.cancelDial()
	p.dialCancel = cancel
	id, n, external := p.dialID, p.cfg, p.external()
	remote := netip.AddrPortFrom(n.Address, uint16(r.cfg.BGP.Port))
	r.tasks.Go(func() {
		defer cancel()
		c, err := r.deps.Net.Dial(ctx, n.LocalAddress, remote, func(fd int) error {
			if n.Password != "" {
				if err := setMD5(fd, n.Address, n.Password); err != nil {
					return err
				}
			}
			return secure(fd, n, external)
		})
		var subnet netip.Prefix
		if err == nil {
			subnet = r.subnetOf(c)
		}
		r.dialed(p, id, c, subnet, err)
	})
}

// dialed reports how a connection attempt ended, unless it was given up.
func (r *Router) dialed(p *peer, id int, c net.Conn, subnet netip.Prefix, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p.dialID != id {
		if c != nil {
			_ = c.Close()
		}
		return
	}
	p.dialCancel = nil
	if err != nil {
		r.log.Debug("BGP connection failed", "peer", p.cfg.Name, "error", err)
		p.step(evDialFailed{})
		return
	}
	p.step(evDialed{r.adopt(p, c, subnet)})
}

// The messages of a session, delivered by its reader.

func (r *Router) sessionOpen(s *session, msg *bgp.BGPOpen) (*decoder, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := s.peer
	open, n := p.hello().negotiate(msg, p.cfg.ASN)
	if n != nil {
		return nil, n
	}
	p.step(evOpen{s.id, open})
	return newDecoder(p.family, p.external(), open.as4, p.cfg.ASN), nil
}

func (r *Router) sessionKeepalive(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := s.peer
	if p.conn != s {
		p.step(evKeepalive{s.id})
		return
	}
	if !p.open.endOfRIB && !p.synced {
		// A peer without the marker is done with its table when it has
		// nothing more urgent to say.
		p.endOfRIBReceived()
		r.settle()
	}
}

func (r *Router) sessionNotified(s *session, n *notification) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.peer.lastReason = "received " + n.Error()
	s.peer.step(evNotified{s.id, n})
}

func (r *Router) sessionError(s *session, n *notification) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.peer.step(evError{s.id, n})
}

func (r *Router) sessionLost(s *session, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s.peer.step(evClosed{s.id, reason})
}

// sessionUpdate applies an UPDATE; errEnded when the session is over.
func (r *Router) sessionUpdate(s *session, u *update) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := s.peer
	switch {
	case p.conn == s:
	case p.links[s.id] == nil:
		return errEnded
	default:
		return &notification{bgp.BGP_ERROR_FSM_ERROR, 2, nil, "UPDATE in OpenConfirm"}
	}
	if u.discarded != "" {
		r.log.Warn("routes treated as withdrawn", "peer", p.cfg.Name, "reason", u.discarded, "prefixes", len(u.withdrawn))
	}
	p.receive(u)
	r.settle()
	return nil
}

func (r *Router) sessionRefresh(s *session, f family) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := s.peer; p.conn == s && f == p.family {
		p.refresh()
		r.settle()
	}
}
