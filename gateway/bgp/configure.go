package bgp

import (
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"

	"gwlab/gateway/config"
)

// Configure implements Speaker.
func (r *Router) Configure(cfg config.Config) error {
	if err := check(cfg); err != nil {
		return fmt.Errorf("configure BGP: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx != nil && r.cfg.BGP.Port != cfg.BGP.Port {
		return fmt.Errorf("configure BGP: port %d to %d: a running speaker keeps its port", r.cfg.BGP.Port, cfg.BGP.Port)
	}
	old := r.cfg
	r.cfg = cfg
	r.cfg.Networks, r.cfg.Neighbors = slices.Clone(cfg.Networks), slices.Clone(cfg.Neighbors)
	// Everything an OPEN says belongs to the session.
	reset := old.ASN != cfg.ASN || old.RouterID != cfg.RouterID || old.BGP.HoldTime != cfg.BGP.HoldTime ||
		old.BGP.GracefulRestart.Off != cfg.BGP.GracefulRestart.Off ||
		old.BGP.GracefulRestart.RestartTime != cfg.BGP.GracefulRestart.RestartTime
	if err := r.configurePeers(cfg.Neighbors, reset); err != nil {
		return fmt.Errorf("configure BGP: %w", err)
	}
	if limit := max(1, cfg.BGP.Multipath); limit != r.decider.limit {
		r.decider.limit = limit
		r.jobs = append(r.jobs, &walk{t: r.table, visit: r.decide})
	}
	if !reflect.DeepEqual(old.Networks, cfg.Networks) {
		r.originate(cfg.Networks)
	}
	if r.ctx != nil {
		if err := r.listen(r.ctx); err != nil {
			return err
		}
	}
	r.checkDeferral() // the one it waits for may be gone
	r.settle()
	return nil
}

// check refuses what no session could work with; config validates the rest.
func check(cfg config.Config) error {
	switch {
	case cfg.ASN == 0:
		return errors.New("the AS number is missing")
	case !cfg.RouterID.Is4():
		return errors.New("the router id is not an IPv4 address")
	}
	seen := map[netip.Addr]bool{}
	for _, n := range cfg.Neighbors {
		switch {
		case !n.Address.IsValid() || n.Address.Is6() && n.Address.IsLinkLocalUnicast():
			return fmt.Errorf("neighbour %q: address %s cannot be a peer", n.Name, n.Address)
		case seen[n.Address]:
			return fmt.Errorf("neighbour %s: configured twice", n.Address)
		case n.ASN == 0:
			return fmt.Errorf("neighbour %s: the AS number is missing", n.Address)
		}
		seen[n.Address] = true
	}
	return nil
}

// configurePeers makes the peers exactly these.
func (r *Router) configurePeers(want []config.Neighbor, reset bool) error {
	old := map[netip.Addr]*peer{}
	for _, p := range r.peers {
		old[p.cfg.Address] = p
	}
	var peers, fresh []*peer
	var errs []error
	for _, n := range want {
		p := old[n.Address]
		if p != nil && !reset && sameSession(p.cfg, n) {
			delete(old, n.Address)
			p.adjust(n)
			peers = append(peers, p)
			continue
		}
		made := newPeer(r, n)
		if p != nil {
			made.fsm.reachable = p.fsm.reachable
		}
		if n.Password != "" || (p != nil && p.cfg.Password != "") {
			errs = append(errs, r.setKey(n.Address, n.Password))
		}
		peers, fresh = append(peers, made), append(fresh, made)
	}
	kept := map[netip.Addr]bool{}
	for _, n := range want {
		kept[n.Address] = true
	}
	for addr, p := range old {
		why := cease(bgp.BGP_ERROR_SUB_OTHER_CONFIGURATION_CHANGE, "")
		if !kept[addr] {
			why = cease(bgp.BGP_ERROR_SUB_PEER_DECONFIGURED, "")
			errs = append(errs, r.setKey(addr, ""))
		}
		p.remove(why)
	}
	r.peers = peers
	if r.ctx != nil {
		for _, p := range fresh {
			p.step(evStart{})
		}
	}
	return errors.Join(errs...)
}

// setKey changes a peer's MD5 key on the open listeners. Taking away a key
// that was never set is no error.
func (r *Router) setKey(peer netip.Addr, password string) error {
	for _, l := range r.listeners {
		if err := l.setKey(peer, password); err != nil && password != "" {
			return err
		}
	}
	return nil
}

// remove ends a peer for good.
func (p *peer) remove(why *notification) {
	p.step(evStop{why})
	if p.retain {
		p.sweepStale(nil)
	}
}

// sameSession tells whether a change leaves the session alone.
func sameSession(a, b config.Neighbor) bool {
	return a.Address == b.Address && a.LocalAddress == b.LocalAddress && a.Interface == b.Interface &&
		a.ASN == b.ASN && a.Passive == b.Passive && a.Password == b.Password && a.TTLSecurity == b.TTLSecurity
}

// adjust takes new timers of this end and a new policy: routes are judged anew from what was received,
// and what the peer was told is put right.
func (p *peer) adjust(n config.Neighbor) {
	old := p.cfg
	p.setConfig(n)
	p.fsm.cfg = p.fsmConfig()
	if !reflect.DeepEqual(old.Import, n.Import) {
		p.reimport()
	}
	if !reflect.DeepEqual(old.Export, n.Export) || old.NextHopSelf != n.NextHopSelf {
		p.reexport()
	}
}

func (p *peer) reimport() {
	r := p.router
	r.jobs = append(r.jobs, &walk{t: r.table, visit: func(e *entry) {
		i := e.find(p)
		if i < 0 {
			return
		}
		x := p.admit(e.prefix, e.paths[i].attrs)
		x.session = e.paths[i].session
		p.recount(e.paths[i], x.accepted)
		e.paths[i] = x
		r.decide(e)
	}})
}

// recount keeps the counters right when a path becomes accepted or not.
func (p *peer) recount(was path, accepted bool) {
	if was.accepted == accepted || !was.alive() {
		return
	}
	n := &p.accepted
	if was.session != p.session {
		n = &p.retained
	}
	if accepted {
		*n++
	} else {
		*n--
	}
}

func (p *peer) reexport() {
	if p.out == nil {
		return
	}
	p.out.forget()
	p.router.jobs = append(p.router.jobs, p.whileUp(p.readvertise(nil)))
}

// originate makes the networks exactly these. Those that stay never leave:
// the old set is retained until the new one stands, like the routes of a
// peer that restarts.
func (r *Router) originate(networks []config.Network) {
	l := r.local
	l.session++
	l.retain = true
	r.jobs = append(r.jobs, &origination{router: r, networks: networks, session: l.session})
}

// origination enters the networks into the table.
type origination struct {
	router   *Router
	networks []config.Network
	session  uint16
	prefix   netip.Prefix // next to enter of the first network
	done     int
}

func (o *origination) run(n int) bool {
	l := o.router.local
	if l.session != o.session {
		return true // superseded
	}
	for ; n > 0 && len(o.networks) > 0; n-- {
		o.enter()
	}
	if len(o.networks) > 0 {
		return false
	}
	l.retain = false
	o.router.sweep(l, nil)
	return true
}

// enter originates one prefix.
func (o *origination) enter() {
	network, r := o.networks[0], o.router
	count := max(1, network.Count)
	if o.done == 0 {
		bits := network.Prefix.Bits()
		if network.Length > 0 {
			bits = network.Length
		}
		o.prefix = netip.PrefixFrom(network.Prefix.Masked().Addr(), bits)
	}
	if network.Prefix.Contains(o.prefix.Addr()) {
		e := r.table.entry(o.prefix)
		e.put(path{peer: r.local, attrs: r.origin, pref: defaultLocalPref, session: o.session, accepted: true})
		r.decide(e)
	}
	o.prefix, o.done = nextPrefix(o.prefix), o.done+1
	if o.done >= count || !o.prefix.IsValid() {
		o.networks, o.done = o.networks[1:], 0
	}
}

// nextPrefix is the one of the same length behind p; invalid after the last.
func nextPrefix(p netip.Prefix) netip.Prefix {
	b := p.Addr().AsSlice()
	for i, add := (p.Bits()-1)/8, byte(1)<<(7-(p.Bits()-1)%8); i >= 0 && p.Bits() > 0; i, add = i-1, 1 {
		b[i] += add
		if b[i] >= add { // no carry
			a, _ := netip.AddrFromSlice(b)
			return netip.PrefixFrom(a, p.Bits())
		}
	}
	return netip.Prefix{}
}
