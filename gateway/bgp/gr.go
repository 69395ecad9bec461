package bgp

import (
	"time"

	"gwlab/internal/monotime"
)

// suspend ends the peer's session in the table. Its paths live on as stale
// ones when the peer said it would restart gracefully and only its
// connection was lost (RFC 4724 §4.2); else they are dead from this instant.
func (p *peer) suspend(graceful bool) {
	keep := graceful && p.open.gr && p.fsm.reachable
	p.session++
	p.retain, p.synced, p.retained = keep, false, 0
	p.staleAt = never
	if keep {
		p.retained = p.accepted
		p.staleAt = monotime.Now() + int64(p.open.restart)
	}
	p.received, p.accepted = 0, 0
	p.router.sweep(p, nil)
}

// resume meets a peer that is back: the restart timer stops; paths it did
// not preserve go at once, the others until End-of-RIB or the deferral time
// (RFC 4724 §4.2).
func (p *peer) resume(open peerOpen) {
	if !p.retain {
		return
	}
	if !open.gr || !open.forwarding {
		p.sweepStale(nil)
		return
	}
	p.staleAt = monotime.Now() + int64(p.router.cfg.BGP.GracefulRestart.SelectionDeferral)
}

// sweepStale declares retained paths dead and takes them out of the table.
func (p *peer) sweepStale(after func()) {
	p.retain, p.retained, p.staleAt = false, 0, never
	p.router.sweep(p, after)
}

// giveUp ends the wait for a peer that has not come back from its restart.
func (p *peer) giveUp(why string) {
	p.sweepStale(nil)
	p.router.emit.event(PeerEvent{Peer: p.cfg.Address, Name: p.cfg.Name, Reason: why, At: monotime.Now()})
}

// endOfRIBReceived: the peer has told its whole table. What it did not tell
// again is gone.
func (p *peer) endOfRIBReceived() {
	if p.synced {
		return
	}
	p.synced = true
	session := p.session
	told := func() {
		r := p.router
		if p.session != session {
			return // it ended before the sweep did
		}
		r.emit.event(PeerEvent{Peer: p.cfg.Address, Name: p.cfg.Name, Up: true, Synced: true, Reason: "End-of-RIB", At: monotime.Now()})
		r.checkDeferral()
	}
	if p.retain {
		p.sweepStale(told)
		return
	}
	told()
}

// sweep removes the peer's dead paths and decides their prefixes anew. It
// goes before all other work: traffic may be waiting for it.
func (r *Router) sweep(p *peer, after func()) {
	w := &walk{t: r.table, after: after, visit: func(e *entry) {
		if i := e.find(p); i >= 0 && !e.paths[i].alive() {
			e.drop(i)
			r.decide(e)
		}
	}}
	r.jobs = append([]job{w}, r.jobs...)
}

// checkDeferral ends a restarted speaker's wait once every peer that will
// send End-of-RIB has done so (RFC 4724 §4.1).
func (r *Router) checkDeferral() {
	if !r.deferring {
		return
	}
	for _, p := range r.peers {
		ready := p.synced || (p.conn != nil && (p.open.restarting || !p.open.endOfRIB))
		if !ready && p.fsm.reachable {
			return
		}
	}
	r.endDeferral()
}

func (r *Router) endDeferral() {
	r.deferring, r.deferUntil = false, never
	r.releaseEndOfRIB()
}

// releaseEndOfRIB sends the marker to every peer that has the whole table.
func (r *Router) releaseEndOfRIB() {
	if r.deferring {
		return
	}
	for _, p := range r.peers {
		if p.eorReady && p.conn != nil {
			p.eorReady = false
			p.conn.queueEndOfRIB()
		}
	}
}

// startDeferral begins the wait of a restarted speaker.
func (r *Router) startDeferral(now int64) {
	gr := r.cfg.BGP.GracefulRestart
	if !r.deps.Restarting || gr.Off {
		return
	}
	r.deferring, r.deferUntil = true, now+int64(max(gr.SelectionDeferral, time.Millisecond))
}

// expire runs the timers of graceful restart that are due.
func (r *Router) expire(now int64) {
	if now >= r.deferUntil {
		r.endDeferral()
	}
	for _, p := range r.peers {
		if now >= p.staleAt {
			r.log.Info("stale routes expired", "peer", p.cfg.Name)
			if p.conn == nil {
				p.giveUp("restart time expired")
				continue
			}
			p.sweepStale(nil) // it is back, and owes only End-of-RIB
		}
	}
}
