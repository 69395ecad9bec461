package bgp

import (
	"context"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"gwlab/gateway/config"
	"gwlab/internal/monotime"
)

// peer is one neighbour: its machine, its connections and its share of the
// table. The router's lock guards it.
type peer struct {
	router *Router
	cfg    config.Neighbor
	local  bool // the pseudo neighbour that owns originated networks
	family family
	fsm    *fsm

	links      map[int]*session
	conn       *session // the established one
	open       peerOpen
	localAddr  netip.Addr
	subnet     netip.Prefix
	dialCancel context.CancelFunc
	dialID     int

	session  uint16 // number of the session; paths of other numbers are dead …
	retain   bool   // … but those of the last one, while it restarts gracefully
	staleAt  int64  // when retained paths expire
	synced   bool
	eorReady bool // the initial table was queued
	received int  // paths of this session
	accepted int  // of which eligible by policy
	retained int  // accepted paths of the last session still in use

	imports, exports matcher
	out              *adjOut
	judged           *attributes
	judgedAs         verdict
	hop              uint32

	since       int64
	lastState   fsmState
	lastReason  string
	established uint64
}

func newPeer(r *Router, n config.Neighbor) *peer {
	p := &peer{router: r, links: map[int]*session{}, session: 1, staleAt: never, since: monotime.Now()}
	p.setConfig(n)
	p.family = familyOf(n.Address)
	p.fsm = newFSM(p.fsmConfig(), r.jitter)
	return p
}

func (p *peer) fsmConfig() fsmConfig {
	c := p.router.cfg
	return fsmConfig{
		localAS: c.ASN, localID: c.RouterID, passive: p.cfg.Passive,
		connectRetry: c.BGP.ConnectRetry, keepalive: c.BGP.Keepalive,
	}
}

// setConfig takes what may change without a reset.
func (p *peer) setConfig(n config.Neighbor) {
	if n.Name == "" {
		n.Name = n.Address.String()
	}
	p.cfg = n
	p.imports, p.exports = newMatcher(n.Import.Prefixes), newMatcher(n.Export.Prefixes)
	p.judged = nil
	p.hop = p.router.groups.id(n.Address, n.Interface)
}

func (p *peer) external() bool { return !p.local && p.cfg.ASN != p.router.cfg.ASN }

// hopID numbers the next hop of a block learned from this peer.
func (p *peer) hopID(a *attributes) uint32 {
	if a.nextHop == p.cfg.Address || p.local {
		return p.hop
	}
	return p.router.groups.id(a.nextHop, p.cfg.Interface)
}

func (p path) identifier() netip.Addr {
	if p.attrs.originator.IsValid() {
		return p.attrs.originator
	}
	return p.peer.open.routerID
}

// hello is this speaker's OPEN towards the peer.
func (p *peer) hello() hello {
	b, r := p.router.cfg.BGP, p.router
	return hello{
		asn: r.cfg.ASN, routerID: r.cfg.RouterID, holdTime: b.HoldTime, family: p.family,
		gr: !b.GracefulRestart.Off, restarting: r.deferring,
		// Only a cold start has forgotten how to forward (RFC 4724 §4.1).
		forwarding:  r.deps.Restarting || p.established > 0,
		restartTime: b.GracefulRestart.RestartTime,
	}
}

// step feeds the machine and carries out what it says.
func (p *peer) step(ev event) {
	for _, a := range p.fsm.step(ev, monotime.Now()) {
		p.act(a)
	}
	if s := p.fsm.state(); s != p.lastState {
		p.lastState, p.since = s, monotime.Now()
	}
	p.router.settle()
}

func (p *peer) act(a action) {
	switch v := a.(type) {
	case actDial:
		p.router.dial(p)
	case actCancelDial:
		p.cancelDial()
	case actSendOpen:
		p.links[v.id].send(mustMessage(p.hello().open()))
	case actKeepalive:
		p.links[v.id].send(mustMessage(bgp.NewBGPKeepAliveMessage()))
	case actClose:
		if s := p.links[v.id]; s != nil {
			delete(p.links, v.id)
			s.close(v.n)
			if v.n != nil && v.n.code != bgp.BGP_ERROR_CEASE {
				p.lastReason = "sent " + v.n.Error()
			}
		}
	case actUp:
		p.up(p.links[v.id], v.open)
	case actDown:
		p.down(v.reason, v.graceful)
	}
}

func (p *peer) cancelDial() {
	p.dialID++ // whatever the old one brings is too late
	if p.dialCancel != nil {
		p.dialCancel()
		p.dialCancel = nil
	}
}

// up starts a session: the peer gets the whole table, and retained paths get
// their chance to be refreshed.
func (p *peer) up(s *session, open peerOpen) {
	r := p.router
	p.conn, p.open, p.established = s, open, p.established+1
	if a, err := netip.ParseAddrPort(s.tcp.LocalAddr().String()); err == nil {
		p.localAddr = a.Addr().Unmap()
	}
	p.subnet = s.subnet
	p.judged, p.out, p.synced, p.eorReady = nil, newAdjOut(), false, false
	p.resume(open)
	r.checkDeferral()
	r.emit.event(PeerEvent{Peer: p.cfg.Address, Name: p.cfg.Name, Up: true, Reason: "established", At: monotime.Now()})
	r.jobs = append(r.jobs, p.whileUp(p.readvertise(func() {
		p.eorReady = true
		r.releaseEndOfRIB()
	})))
	r.log.Info("BGP session up", "peer", p.cfg.Name, "asn", open.asn, "hold", open.holdTime, "restarting", open.restarting)
}

// down ends the session and decides what becomes of its routes.
func (p *peer) down(reason string, graceful bool) {
	r := p.router
	p.conn, p.out, p.lastReason = nil, nil, reason
	p.suspend(graceful)
	r.emit.event(PeerEvent{Peer: p.cfg.Address, Name: p.cfg.Name, Stale: p.retain, Reason: reason, At: monotime.Now()})
	r.log.Info("BGP session down", "peer", p.cfg.Name, "reason", reason, "stale", p.retain)
}

// whileUp ends a job early when the session it is for has ended.
func (p *peer) whileUp(j job) job { return &sessionJob{p, p.session, j} }

type sessionJob struct {
	peer    *peer
	session uint16
	job     job
}

func (j *sessionJob) run(n int) bool {
	if j.peer.session != j.session || j.peer.out == nil {
		return true
	}
	return j.job.run(n)
}

// receive takes the routes of one UPDATE.
func (p *peer) receive(u *update) {
	t := p.router.table
	for _, prefix := range u.withdrawn {
		e := t.byPrefix[prefix]
		if e == nil {
			continue
		}
		if i := e.find(p); i >= 0 {
			p.discount(e.paths[i])
			e.drop(i)
			p.router.decide(e)
		}
	}
	for _, prefix := range u.reach {
		p.learn(t.entry(prefix), p.admit(prefix, u.attrs))
	}
	if u.endOfRIB {
		p.endOfRIBReceived()
	}
	if limit := p.cfg.MaxPrefixes; limit > 0 && p.received > limit {
		const wait = 60 // connect retries
		p.step(evReset{cease(bgp.BGP_ERROR_SUB_MAXIMUM_NUMBER_OF_PREFIXES_REACHED, ""),
			wait * p.router.cfg.BGP.ConnectRetry})
	}
}

// learn stores a path and decides its prefix anew.
func (p *peer) learn(e *entry, x path) {
	old := e.put(x)
	if old != nil {
		p.discount(*old)
		if old.attrs != x.attrs && old.attrs.key == x.attrs.key {
			e.paths[e.find(p)].attrs = old.attrs // told again: nothing to tell on
		}
	}
	p.received++
	if x.accepted {
		p.accepted++
	}
	p.router.decide(e)
}

// discount takes a path out of the counters.
func (p *peer) discount(old path) {
	switch {
	case old.session == p.session:
		p.received--
		if old.accepted {
			p.accepted--
		}
	case old.alive() && old.accepted:
		p.retained--
	}
}

// status is the peer as the operator sees it.
func (p *peer) status() PeerStatus {
	s := PeerStatus{
		Name: p.cfg.Name, Address: p.cfg.Address, ASN: p.cfg.ASN, State: p.fsm.state().String(), Since: p.since,
		Received: p.accepted + p.retained, Restarting: p.retain, Synced: p.synced,
		LastReason: p.lastReason, Established: p.established,
	}
	if p.out != nil {
		s.Advertised, s.HoldTime = p.out.count, p.open.holdTime.Round(time.Millisecond).Seconds()
	}
	return s
}
