package bgp

import (
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// opened handles a valid OPEN: collisions first (RFC 4271 §6.8), then the
// way to OpenConfirm.
func (f *fsm) opened(id int, open peerOpen, now int64) {
	l := f.link(id)
	if l == nil {
		return
	}
	if l.state != openSent { // RFC 4271 §6.6, RFC 6608
		f.fail(id, &notification{bgp.BGP_ERROR_FSM_ERROR, uint8(l.state) - uint8(openSent) + 1, nil, "OPEN in " + l.state.String()}, now)
		return
	}
	collision := cease(bgp.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION, "")
	if f.live != nil {
		young := l.since-f.live.since < int64(settled)
		if young || !f.live.open.gr {
			f.remove(l, collision)
			if !young { // if the peer lost the old one, its answer to this is a reset
				f.do(actKeepalive{f.live.id})
			}
			return
		}
		// RFC 4724 §5: the peer restarted and we had not noticed.
		f.remove(f.live, nil)
		f.do(actDown{"peer opened a new session", true})
	}
	l.open = open
	for _, other := range f.links {
		if other != l && other.state == openConfirm {
			loser := other
			if f.keepsIncoming(open) != l.incoming {
				loser = l
			}
			f.remove(loser, collision)
			if loser == l {
				return
			}
			break
		}
	}
	l.state, l.keepAt, l.holdAt = openConfirm, never, never
	if open.holdTime > 0 {
		l.holdAt = now + int64(open.holdTime)
		l.keepAt = now + f.jittered(f.keepaliveOf(open))
	}
	f.do(actKeepalive{id})
}

// keepsIncoming: the connection opened by the side with the higher
// identifier stays; with equal ones, by the higher AS (RFC 6286 §2.3).
func (f *fsm) keepsIncoming(open peerOpen) bool {
	if c := f.cfg.localID.Compare(open.routerID); c != 0 {
		return c < 0
	}
	return f.cfg.localAS < open.asn
}

// keepaliveOf is the configured interval, never above a third of the
// negotiated hold time (RFC 4271 §4.4).
func (f *fsm) keepaliveOf(open peerOpen) time.Duration {
	third := open.holdTime / 3
	if f.cfg.keepalive > 0 && f.cfg.keepalive < third {
		return f.cfg.keepalive
	}
	return third
}

func (f *fsm) keepalive(id int, now int64) {
	l := f.link(id)
	if l == nil {
		return
	}
	f.heard(id, now)
	switch l.state {
	case openConfirm:
		l.state, l.since = established, now
		f.live = l
		for len(f.links) > 1 {
			other := f.links[0]
			if other == l {
				other = f.links[1]
			}
			f.remove(other, cease(bgp.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION, ""))
		}
		if f.dialing {
			f.dialing = false
			f.do(actCancelDial{})
		}
		f.retryAt = never
		f.do(actUp{id, l.open})
	case openSent:
		f.fail(id, &notification{bgp.BGP_ERROR_FSM_ERROR, 1, nil, "KEEPALIVE in OpenSent"}, now)
	case established, idle, connect, active:
	}
}

// heard restarts the HoldTimer: anything the peer says proves it alive.
func (f *fsm) heard(id int, at int64) {
	l := f.link(id)
	if l == nil || l.state < openConfirm || l.open.holdTime == 0 {
		return
	}
	l.holdAt = max(l.holdAt, at+int64(l.open.holdTime))
}

// fail ends a connection with a NOTIFICATION of ours.
func (f *fsm) fail(id int, n *notification, now int64) {
	l := f.link(id)
	if l == nil {
		return
	}
	up := f.live == l
	f.remove(l, n)
	f.ended(l, up, "sent "+n.Error(), false, now)
}

// lost handles a connection the other side ended.
func (f *fsm) lost(id int, reason string, graceful bool, now int64) {
	l := f.link(id)
	if l == nil {
		return
	}
	up := f.live == l
	f.remove(l, nil)
	f.ended(l, up, reason, graceful, now)
}

// collided dials again soon when the peer's choice between two connections
// has left none.
func (f *fsm) collided(n *notification, now int64) {
	if n.code == bgp.BGP_ERROR_CEASE && n.subcode == bgp.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION &&
		f.running() && len(f.links) == 0 && !f.dialing {
		f.retryAt = now + int64(f.jitter()*float64(afterCollision))
	}
}

// ended reports the end of the session and plans the next attempt: at once
// after one that had lasted, by the retry timer otherwise.
func (f *fsm) ended(l *link, up bool, reason string, graceful bool, now int64) {
	if up {
		f.do(actDown{reason, graceful})
	}
	switch {
	case f.live != nil:
	case up && now-l.since > int64(settled):
		f.tryConnect(now)
	case !f.dialing:
		f.retryLater(now)
	}
}

// tick runs the timers that are due.
func (f *fsm) tick(now int64) {
	for i := 0; i < len(f.links); {
		l := f.links[i]
		if now >= l.holdAt {
			f.fail(l.id, &notification{bgp.BGP_ERROR_HOLD_TIMER_EXPIRED, 0, nil, ""}, now)
			continue
		}
		if now >= l.keepAt {
			l.keepAt = now + f.jittered(f.keepaliveOf(l.open))
			f.do(actKeepalive{l.id})
		}
		i++
	}
	if now < f.retryAt {
		return
	}
	f.retryAt = never
	if f.dialing { // RFC 4271 §8.2.2, Connect, event 9: drop it and dial anew
		f.dialing = false
		f.do(actCancelDial{})
	}
	f.tryConnect(now)
}
