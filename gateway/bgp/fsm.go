package bgp

import (
	"math"
	"net/netip"
	"time"

	"github.com/osrg/gobgp/v3/pkg/packet/bgp"
)

// fsmState is a session state (RFC 4271 §8.2.2).
type fsmState uint8

const (
	idle fsmState = iota
	connect
	active
	openSent
	openConfirm
	established
)

func (s fsmState) String() string {
	return [...]string{"Idle", "Connect", "Active", "OpenSent", "OpenConfirm", "Established"}[s]
}

const (
	// openHold bounds the wait for an OPEN (RFC 4271 §8.2.2 suggests 4 min; a
	// peer on a shared link that takes this long is not there).
	openHold = 10 * time.Second
	// settled: a session older than this was agreed by both ends. If they
	// negotiated graceful restart, a new connection from the peer means that it
	// restarted (RFC 4724 §5). A younger one may still be racing with its twin,
	// and without graceful restart the Established one stays (RFC 4271 §6.8).
	settled = time.Second
	// afterCollision spreads new attempts when both ends, each for the other
	// connection, closed both of a colliding pair.
	afterCollision = 50 * time.Millisecond
	never          = int64(math.MaxInt64)
)

// fsm is the state machine of one neighbour: its one session and the
// connections that compete to become it (RFC 4271 §8.2.1: one machine a
// connection; here one with all, so that collisions are settled in one
// place). It has no clock, no socket and no lock. Times are nanoseconds of
// any one monotonic clock.
type fsm struct {
	cfg    fsmConfig
	jitter func() float64 // 0 ≤ x < 1

	started   bool
	reachable bool
	dialing   bool
	retryAt   int64 // ConnectRetryTimer
	heldUntil int64 // IdleHoldTimer: refuse everything before
	links     []*link
	live      *link // the established one
	out       []action
}

type fsmConfig struct {
	localAS      uint32
	localID      netip.Addr
	passive      bool
	connectRetry time.Duration
	keepalive    time.Duration // 0: a third of the hold time
}

// link is one TCP connection.
type link struct {
	id       int
	incoming bool
	state    fsmState
	since    int64 // when it was connected; when established, when that
	open     peerOpen
	holdAt   int64
	keepAt   int64
}

// event is an input of the machine; the kinds follow RFC 4271 §8.1.
type event interface{ event() }

type (
	evStart     struct{}                    // ManualStart
	evStop      struct{ why *notification } // ManualStop, for good
	evReachable struct{ up bool }           // carrier, BFD
	evReset     struct {
		why  *notification
		hold time.Duration
	} // AutomaticStop with an idle hold
	evDialed     struct{ id int } // Tcp_CR_Acked
	evDialFailed struct{}         // TcpConnectionFails while connecting
	evAccepted   struct{ id int } // TcpConnectionConfirmed
	evClosed     struct {
		id     int
		reason string
	} // TcpConnectionFails
	evOpen struct {
		id   int
		open peerOpen
	} // BGPOpen
	evKeepalive struct{ id int } // KeepAliveMsg
	evNotified  struct {
		id int
		n  *notification
	} // NotifMsg
	evError struct {
		id int
		n  *notification
	} // any message error
	evHeard struct {
		id int
		at int64
	} // the last time anything came
	evTick struct{} // a deadline may have passed
)

func (evStart) event()      {}
func (evStop) event()       {}
func (evReachable) event()  {}
func (evReset) event()      {}
func (evDialed) event()     {}
func (evDialFailed) event() {}
func (evAccepted) event()   {}
func (evClosed) event()     {}
func (evOpen) event()       {}
func (evKeepalive) event()  {}
func (evNotified) event()   {}
func (evError) event()      {}
func (evHeard) event()      {}
func (evTick) event()       {}

// action is an output of the machine, to be carried out in order.
type action interface{ action() }

type (
	actDial       struct{}
	actCancelDial struct{}
	actSendOpen   struct{ id int }
	actKeepalive  struct{ id int }
	// actClose ends a connection, after a NOTIFICATION if there is one.
	actClose struct {
		id int
		n  *notification
	}
	actUp struct {
		id   int
		open peerOpen
	}
	// actDown: the session ended. Graceful: by loss of its connection alone,
	// so that a restarting peer's routes may be kept (RFC 4724 §4.2).
	actDown struct {
		reason   string
		graceful bool
	}
)

func (actDial) action()       {}
func (actCancelDial) action() {}
func (actSendOpen) action()   {}
func (actKeepalive) action()  {}
func (actClose) action()      {}
func (actUp) action()         {}
func (actDown) action()       {}

func newFSM(cfg fsmConfig, jitter func() float64) *fsm {
	return &fsm{cfg: cfg, jitter: jitter, reachable: true, retryAt: never}
}

// step takes one event at an instant and returns what to do about it.
func (f *fsm) step(ev event, now int64) []action {
	f.out = nil
	switch e := ev.(type) {
	case evStart:
		f.started = true
		f.tryConnect(now)
	case evStop:
		f.started = false
		f.dropAll(e.why, now)
	case evReachable:
		f.setReachable(e.up, now)
	case evReset:
		f.heldUntil = now + int64(e.hold)
		f.dropAll(e.why, now)
		f.retryIn(e.hold, now)
	case evDialed:
		f.dialing = false
		f.connected(e.id, false, now)
	case evDialFailed:
		f.dialing = false
		f.retryLater(now)
	case evAccepted:
		f.connected(e.id, true, now)
	case evClosed:
		f.lost(e.id, e.reason, true, now)
	case evNotified:
		f.lost(e.id, "received "+e.n.Error(), false, now)
		f.collided(e.n, now)
	case evOpen:
		f.opened(e.id, e.open, now)
	case evKeepalive:
		f.keepalive(e.id, now)
	case evError:
		f.fail(e.id, e.n, now)
	case evHeard:
		f.heard(e.id, e.at)
	case evTick:
		f.tick(now)
	}
	return f.out
}

// state is the furthest any connection has come.
func (f *fsm) state() fsmState {
	best := idle
	switch {
	case !f.running():
	case f.dialing:
		best = connect
	default:
		best = active
	}
	for _, l := range f.links {
		best = max(best, l.state)
	}
	return best
}

func (f *fsm) running() bool { return f.started && f.reachable }

// deadline is when a tick is due next.
func (f *fsm) deadline() int64 {
	at := f.retryAt
	for _, l := range f.links {
		at = min(at, l.holdAt, l.keepAt)
	}
	return at
}

func (f *fsm) link(id int) *link {
	for _, l := range f.links {
		if l.id == id {
			return l
		}
	}
	return nil
}

func (f *fsm) do(a action) { f.out = append(f.out, a) }

// jittered takes off up to a quarter (RFC 4271 §10).
func (f *fsm) jittered(d time.Duration) int64 {
	return int64(float64(d) * (1 - f.jitter()/4))
}

func (f *fsm) retryLater(now int64) { f.retryIn(f.cfg.connectRetry, now) }

func (f *fsm) retryIn(d time.Duration, now int64) {
	f.retryAt = never
	if f.running() {
		f.retryAt = now + f.jittered(d)
		if f.retryAt < f.heldUntil {
			f.retryAt = f.heldUntil
		}
	}
}

// tryConnect dials now, unless nothing is to be gained by it.
func (f *fsm) tryConnect(now int64) {
	if !f.running() || f.live != nil || f.dialing {
		return
	}
	f.retryAt = never
	if now < f.heldUntil {
		f.retryAt = f.heldUntil
		return
	}
	if f.cfg.passive {
		return
	}
	if len(f.links) > 0 { // one is on its way: a second would only collide
		f.retryLater(now)
		return
	}
	f.dialing = true
	f.retryAt = now + f.jittered(f.cfg.connectRetry)
	f.do(actDial{})
}

func (f *fsm) setReachable(up bool, now int64) {
	was := f.reachable
	f.reachable = up
	switch {
	case !up:
		f.dropAll(cease(ceaseBFDDown, "peer is not reachable"), now)
		f.retryAt = never
	case !was:
		f.heldUntil = 0
		f.tryConnect(now)
	}
}

// connected handles a new TCP connection, whoever opened it.
func (f *fsm) connected(id int, incoming bool, now int64) {
	if !f.running() || now < f.heldUntil || (f.live != nil && !incoming) {
		f.do(actClose{id, cease(bgp.BGP_ERROR_SUB_CONNECTION_REJECTED, "")})
		return
	}
	for _, l := range f.links {
		if l.incoming == incoming && l != f.live {
			// The peer has one connect at a time: a newer one replaces its older.
			f.remove(l, cease(bgp.BGP_ERROR_SUB_CONNECTION_COLLISION_RESOLUTION, "superseded"))
			break
		}
	}
	if !incoming {
		f.retryAt = never
	}
	f.links = append(f.links, &link{id: id, incoming: incoming, state: openSent, since: now,
		holdAt: now + int64(openHold), keepAt: never})
	f.do(actSendOpen{id})
}

func (f *fsm) remove(l *link, n *notification) {
	for i := range f.links {
		if f.links[i] == l {
			f.links = append(f.links[:i:i], f.links[i+1:]...)
			break
		}
	}
	if f.live == l {
		f.live = nil
	}
	f.do(actClose{l.id, n})
}

// dropAll closes every connection and stops dialing.
func (f *fsm) dropAll(why *notification, now int64) {
	up := f.live != nil
	for len(f.links) > 0 {
		f.remove(f.links[0], why)
	}
	if f.dialing {
		f.dialing = false
		f.do(actCancelDial{})
	}
	if up {
		f.do(actDown{"sent " + why.Error(), false})
	}
	f.retryLater(now)
}
