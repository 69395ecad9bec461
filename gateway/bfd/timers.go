package bfd

import "time"

const (
	// slowInterval bounds bfd.DesiredMinTxInterval from below while the
	// session is not Up (RFC 5880 §6.8.3).
	slowInterval = time.Second

	defaultInterval   = 50 * time.Millisecond
	defaultMultiplier = 3
	minInterval       = time.Millisecond
	maxInterval       = time.Hour
)

// normal returns p with defaults filled in and the interval clipped.
func (p Params) normal() Params {
	if p.Interval == 0 {
		p.Interval = defaultInterval
	}
	p.Interval = min(max(p.Interval, minInterval), maxInterval)
	if p.Multiplier == 0 {
		p.Multiplier = defaultMultiplier
	}
	return p
}

// micros is a normal interval as it stands on the wire.
func micros(d time.Duration) uint32 { return uint32(d / time.Microsecond) }

// adoptParams puts the operator's intervals in force without a Poll
// Sequence, as the state allows (RFC 5880 §6.8.3).
func (s *session) adoptParams() {
	tx := s.params.Interval
	if s.state != Up {
		tx = max(tx, slowInterval)
	}
	s.desiredMinTx = micros(tx)
	s.requiredMinRx = micros(s.params.Interval)
	s.txInForce, s.rxInForce = s.desiredMinTx, s.requiredMinRx
}

// onParams takes new parameters. While Up they are announced by a Poll
// Sequence, and what would surprise the peer waits for its end (§6.8.3).
func (s *session) onParams(params Params, now int64) {
	params = params.normal()
	if params == s.params || s.state == AdminDown {
		return
	}
	renegotiate := params.Interval != s.params.Interval
	s.params = params
	if s.state != Up {
		s.adoptParams()
	} else if renegotiate {
		s.desiredMinTx, s.requiredMinRx = micros(params.Interval), micros(params.Interval)
		s.txInForce = min(s.txInForce, s.desiredMinTx)
		s.rxInForce = max(s.rxInForce, s.requiredMinRx)
		s.pollAgain = s.polling // a Final under way answers the older values
		s.polling = true
	}
	if s.detectAt != 0 {
		s.detectAt = s.lastRx + int64(s.detectTime())
	}
	s.send(now, false)
}

// endPoll takes a Final: the Poll Sequence is over and what it announced
// comes into force, unless the values changed while it ran (§6.5).
func (s *session) endPoll() {
	if !s.polling {
		return
	}
	if s.pollAgain {
		s.pollAgain = false
		return
	}
	s.polling = false
	s.txInForce, s.rxInForce = s.desiredMinTx, s.requiredMinRx
}

// txInterval is the negotiated transmission interval before jitter (§6.8.2).
func (s *session) txInterval() time.Duration {
	return time.Duration(max(s.txInForce, s.remoteMinRx)) * time.Microsecond
}

// rxInterval is how often the peer promises to send, at the least.
func (s *session) rxInterval() time.Duration {
	return time.Duration(max(s.rxInForce, s.remoteMinTx)) * time.Microsecond
}

// detectTime is the Detection Time of asynchronous mode (§6.8.4); 0 until
// the peer has been heard.
func (s *session) detectTime() time.Duration {
	return time.Duration(s.remoteMult) * s.rxInterval()
}

// schedule sets the next transmission: one interval after the last, less 0 to
// 25 % at random, less 10 to 25 % when one lost packet is fatal (§6.8.7).
func (s *session) schedule() {
	s.scheduled = s.txInterval()
	least, most := s.scheduled*3/4, s.scheduled
	if s.params.Multiplier == 1 {
		most = s.scheduled * 9 / 10
	}
	s.nextTx = s.lastTx + int64(least) + s.rand.Int64N(int64(most-least)+1)
}

// reschedule lets a changed interval act on the packet that is due next.
func (s *session) reschedule() {
	if s.txInterval() != s.scheduled {
		s.schedule()
	}
}
