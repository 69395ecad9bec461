package bfd

import (
	"math/rand/v2"
	"time"
)

// eventKind says what happened to a session.
type eventKind uint8

const (
	evStart     eventKind = iota + 1 // the session begins: first packet at once
	evTimer                          // nextDeadline has come
	evPacket                         // a well-formed packet that belongs to this session
	evParams                         // the operator changed the parameters
	evLink                           // the interface has come up
	evAdminDown                      // the operator takes the session away
)

// event is one input of the machine.
type event struct {
	kind   eventKind
	packet Packet // evPacket
	rx     int64  // evPacket: when it reached this host, CLOCK_MONOTONIC ns, never after now
	params Params // evParams
}

// actionKind says what the owner of a session has to do.
type actionKind uint8

const (
	actChange actionKind = iota + 1 // tell the clients
	actSend                         // transmit packet
)

// action is one output of the machine, to be carried out in order.
type action struct {
	kind   actionKind
	packet Packet // actSend
	old    State  // actChange; the new state is the session's
}

// session is the machine of RFC 5880 §6.8. It has no clock, no socket and no
// lock: everything it knows comes through Step. Times are CLOCK_MONOTONIC
// nanoseconds, intervals on the wire are microseconds.
type session struct {
	params Params

	// The state variables of RFC 5880 §6.8.1.
	state, remoteState    State
	localDisc, remoteDisc uint32
	diag                  Diag
	desiredMinTx          uint32
	requiredMinRx         uint32
	remoteMinRx           uint32
	remoteMinTx           uint32 // last Desired Min TX received
	remoteMult            uint8
	remoteIndependent     bool

	// While Up, a longer desiredMinTx and a shorter requiredMinRx count only
	// after the Poll Sequence that announces them (§6.8.3): these are in force.
	txInForce, rxInForce uint32
	polling, pollAgain   bool

	rand      *rand.Rand
	lastTx    int64
	nextTx    int64
	scheduled time.Duration // the transmission interval that gave nextTx
	lastRx    int64         // 0: none yet
	detectAt  int64         // 0: no remote system to miss

	actions [3]action // backs what Step returns
	pending []action
}

// newSession returns a session in state Down (RFC 5880 §6.8.1). disc is its
// discriminator, not 0 and unique on this host.
func newSession(disc uint32, params Params, rnd *rand.Rand) *session {
	s := &session{
		params:      params.normal(),
		state:       Down,
		remoteState: Down,
		localDisc:   disc,
		remoteMinRx: 1,
		rand:        rnd,
	}
	s.adoptParams()
	return s
}

// Step feeds one event to the machine at the instant now. The actions belong
// to the session and are valid until the next Step. It allocates nothing.
func (s *session) Step(ev *event, now int64) []action {
	s.pending = s.actions[:0]
	switch ev.kind {
	case evStart:
		s.send(now, false)
	case evTimer:
		s.onTimer(now)
	case evPacket:
		s.onPacket(&ev.packet, ev.rx, now)
	case evParams:
		s.onParams(ev.params, now)
	case evLink:
		if s.state == Down || s.state == Init {
			s.send(now, false)
		}
	case evAdminDown:
		if s.state != AdminDown {
			s.enter(AdminDown, DiagAdminDown)
			s.send(now, false)
		}
	}
	return s.pending
}

// nextDeadline is when evTimer is due.
func (s *session) nextDeadline() int64 {
	if s.detectAt != 0 && s.detectAt < s.nextTx {
		return s.detectAt
	}
	return s.nextTx
}

// detecting reports whether the detection time is over at now. The owner
// must have read its sockets dry before it lets evTimer act on that.
func (s *session) detecting(now int64) bool { return s.detectAt != 0 && now >= s.detectAt }

// onTimer handles the Detection Time (RFC 5880 §6.8.4) and the transmission
// timer (§6.8.7).
func (s *session) onTimer(now int64) {
	if s.detecting(now) {
		s.expire(now)
	}
	if now < s.nextTx {
		return
	}
	if s.state == AdminDown || s.remoteMinRx == 0 {
		s.nextTx = now + int64(time.Second) // nothing periodic to send: look again later
		return
	}
	s.send(now, false)
}

// expire ends a Detection Time without a packet: the remote system is
// forgotten (§6.8.1), and a session in Init or Up goes Down (§6.8.4).
func (s *session) expire(now int64) {
	s.detectAt = 0
	s.remoteDisc = 0
	s.remoteMinRx = 1
	s.remoteState = Down
	if s.state == Init || s.state == Up {
		s.enter(Down, DiagTimeout)
		s.send(now, false)
	}
}

// onPacket is RFC 5880 §6.8.6 from the point where the session is known.
func (s *session) onPacket(p *Packet, rx, now int64) {
	shut := p.State == AdminDown && s.remoteState != AdminDown
	s.remoteDisc = p.MyDisc
	s.remoteState = p.State
	s.remoteMinRx = p.RequiredMinRx
	s.remoteMinTx = p.DesiredMinTx
	s.remoteMult = p.DetectMult
	s.remoteIndependent = p.Independent
	if s.state == AdminDown {
		return
	}
	old := s.state
	if p.Final {
		s.endPoll()
	}
	s.transition(p.State)
	if shut && old == Down { // no transition, yet its clients must not wait for Up (RFC 5882 §3.2)
		s.pending = append(s.pending, action{kind: actChange, old: old})
	}
	s.lastRx = rx
	s.detectAt = rx + int64(s.detectTime())
	if p.Poll || s.state != old { // at once, whatever the timer says (§6.8.7)
		s.send(now, p.Poll)
	}
	s.reschedule()
}

// transition is the table of RFC 5880 §6.8.6 and §6.2.
func (s *session) transition(remote State) {
	switch {
	case remote == AdminDown:
		if s.state != Down {
			s.enter(Down, DiagNeighborDown)
		}
	case s.state == Down && remote == Down:
		s.enter(Init, s.diag)
	case s.state == Down && remote == Init:
		s.enter(Up, DiagNone)
	case s.state == Init && (remote == Init || remote == Up):
		s.enter(Up, DiagNone)
	case s.state == Up && remote == Down:
		s.enter(Down, DiagNeighborDown)
	}
}

// enter changes the state and queues the news for the clients.
func (s *session) enter(to State, diag Diag) {
	old := s.state
	s.state, s.diag = to, diag
	if old == Up || to == Up {
		before := s.desiredMinTx
		s.adoptParams()
		s.polling = to == Up && s.desiredMinTx != before
		s.pollAgain = false
	}
	s.pending = append(s.pending, action{kind: actChange, old: old})
}

// send queues a packet that says what the session now is, and starts the
// transmission interval anew. A Final answer never carries Poll (§6.5).
func (s *session) send(now int64, final bool) {
	s.pending = append(s.pending, action{kind: actSend, packet: Packet{
		Diag:          s.diag,
		State:         s.state,
		Poll:          s.polling && !final,
		Final:         final,
		DetectMult:    s.params.Multiplier,
		MyDisc:        s.localDisc,
		YourDisc:      s.remoteDisc,
		DesiredMinTx:  s.desiredMinTx,
		RequiredMinRx: s.requiredMinRx,
	}})
	s.lastTx = now
	s.schedule()
}
