package bgp

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// driver steps a machine on a clock of its own and prints what it does.
type driver struct {
	*fsm
	t   *testing.T
	now int64
}

func newDriver(t *testing.T, change func(*fsmConfig)) *driver {
	cfg := fsmConfig{localAS: 65001, localID: addr("10.0.0.1"), connectRetry: 500 * time.Millisecond}
	if change != nil {
		change(&cfg)
	}
	return &driver{fsm: newFSM(cfg, func() float64 { return 0 }), t: t, now: 1}
}

// on steps the machine and wants exactly these actions.
func (d *driver) on(ev event, want ...string) {
	d.t.Helper()
	var got []string
	for _, a := range d.step(ev, d.now) {
		got = append(got, describe(a))
	}
	if !slices.Equal(got, want) {
		d.t.Fatalf("%T%+v: got %q, want %q", ev, ev, got, want)
	}
}

func (d *driver) is(want fsmState) {
	d.t.Helper()
	if got := d.state(); got != want {
		d.t.Fatalf("state %s, want %s", got, want)
	}
}

func (d *driver) after(dt time.Duration) { d.now += int64(dt) }

func describe(a action) string {
	switch v := a.(type) {
	case actDial:
		return "dial"
	case actCancelDial:
		return "cancel"
	case actSendOpen:
		return fmt.Sprintf("open %d", v.id)
	case actKeepalive:
		return fmt.Sprintf("keepalive %d", v.id)
	case actClose:
		if v.n == nil {
			return fmt.Sprintf("close %d", v.id)
		}
		return fmt.Sprintf("close %d %s", v.id, v.n.name())
	case actUp:
		return fmt.Sprintf("up %d", v.id)
	case actDown:
		if v.graceful {
			return "down gracefully"
		}
		return "down"
	}
	return "?"
}

func theirOpen(id string) peerOpen {
	return peerOpen{asn: 65002, routerID: addr(id), holdTime: 9 * time.Second, as4: true}
}

// establish brings connection 1, dialed by us, up.
func (d *driver) establish() {
	d.t.Helper()
	d.on(evStart{}, "dial")
	d.on(evDialed{1}, "open 1")
	d.on(evOpen{1, theirOpen("10.0.0.2")}, "keepalive 1")
	d.on(evKeepalive{1}, "up 1")
	d.is(established)
}

const collision = "Cease/Connection Collision Resolution"

func TestRFC4271_8_2_2_DialsAtOnceAndEstablishes(t *testing.T) {
	d := newDriver(t, nil)
	d.is(idle)
	d.on(evStart{}, "dial")
	d.is(connect)
	d.on(evDialed{1}, "open 1")
	d.is(openSent)
	d.on(evOpen{1, theirOpen("10.0.0.2")}, "keepalive 1")
	d.is(openConfirm)
	d.on(evKeepalive{1}, "up 1")
	d.is(established)
}

func TestRFC4271_8_2_2_ConnectRetryTimer(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evDialFailed{})
	d.is(active)
	d.after(499 * time.Millisecond)
	d.on(evTick{})
	d.after(time.Millisecond)
	d.on(evTick{}, "dial")
	d.after(500 * time.Millisecond) // Connect, event 9: no answer
	d.on(evTick{}, "cancel", "dial")
}

func TestRFC4271_10_JitterTakesOffUpToAQuarter(t *testing.T) {
	d := newDriver(t, nil)
	d.jitter = func() float64 { return 1 }
	d.on(evStart{}, "dial")
	d.on(evDialFailed{})
	if got, want := d.deadline()-d.now, int64(375*time.Millisecond); got != want {
		t.Errorf("retry in %d ns, want %d", got, want)
	}
}

func TestRFC4271_8_2_2_PassiveWaits(t *testing.T) {
	d := newDriver(t, func(c *fsmConfig) { c.passive = true })
	d.on(evStart{})
	d.is(active)
	d.after(time.Hour)
	d.on(evTick{})
	d.on(evAccepted{1}, "open 1")
}

func TestInboundIsAcceptedInEveryStateBeforeEstablished(t *testing.T) {
	for _, from := range []fsmState{connect, active, openSent, openConfirm} {
		t.Run(from.String(), func(t *testing.T) {
			d := newDriver(t, nil)
			d.on(evStart{}, "dial")
			switch from {
			case active:
				d.on(evDialFailed{})
			case openSent:
				d.on(evDialed{1}, "open 1")
			case openConfirm:
				d.on(evDialed{1}, "open 1")
				d.on(evOpen{1, theirOpen("10.0.0.2")}, "keepalive 1")
			case idle, connect, established:
			}
			d.is(from)
			d.on(evAccepted{2}, "open 2")
		})
	}
}

func TestRFC4271_6_8_HigherIdentifierKeepsItsConnection(t *testing.T) {
	for _, c := range []struct{ id, first, second string }{
		{"10.0.0.2", "close 1 " + collision, "keepalive 2"}, // theirs is higher: the inbound stays
		{"10.0.0.0", "close 2 " + collision, ""},            // ours is
	} {
		t.Run(c.id, func(t *testing.T) {
			d := newDriver(t, nil)
			d.on(evStart{}, "dial")
			d.on(evAccepted{2}, "open 2")
			d.on(evDialed{1}, "open 1")
			d.on(evOpen{1, theirOpen(c.id)}, "keepalive 1")
			want := []string{c.first}
			if c.second != "" {
				want = append(want, c.second)
			}
			d.on(evOpen{2, theirOpen(c.id)}, want...)
			if len(d.links) != 1 {
				t.Errorf("%d connections left", len(d.links))
			}
		})
	}
}

func TestRFC6286_2_3_EqualIdentifiersByAS(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evAccepted{2}, "open 2")
	d.on(evDialed{1}, "open 1")
	d.on(evOpen{2, theirOpen("10.0.0.1")}, "keepalive 2")
	d.on(evOpen{1, theirOpen("10.0.0.1")}, "close 1 "+collision) // AS 65002 is higher
}

func TestRFC4271_6_8_EstablishedWinsOverARacingConnection(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evDialed{1}, "open 1")
	d.on(evOpen{1, theirOpen("10.0.0.2")}, "keepalive 1")
	d.on(evAccepted{2}, "open 2")
	d.on(evKeepalive{1}, "close 2 "+collision, "up 1")
	d.after(time.Millisecond)
	d.on(evAccepted{3}, "open 3")
	d.on(evOpen{3, theirOpen("10.0.0.2")}, "close 3 "+collision)
	d.is(established)
}

func TestBothConnectionsLostToACollisionAreRetriedSoon(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.on(evNotified{1, cease(7, "")}, "close 1", "down")
	d.on(evTick{}, "dial")
}

func TestRFC4724_5_NewConnectionOfARestartedPeerReplacesTheOld(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evDialed{1}, "open 1")
	open := theirOpen("10.0.0.2")
	open.gr = true
	d.on(evOpen{1, open}, "keepalive 1")
	d.on(evKeepalive{1}, "up 1")
	d.after(time.Minute)
	d.on(evHeard{1, d.now})
	d.on(evAccepted{2}, "open 2")
	d.is(established) // tracked until its OPEN
	d.on(evOpen{2, theirOpen("10.0.0.2")}, "close 1", "down gracefully", "keepalive 2")
	d.on(evKeepalive{2}, "up 2")
}

// Without graceful restart a new connection proves nothing: the Established
// one stays, and is asked whether it lives.
func TestRFC4271_6_8_EstablishedWinsHoweverOld(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.after(time.Minute)
	d.on(evHeard{1, d.now})
	d.on(evAccepted{2}, "open 2")
	d.on(evOpen{2, theirOpen("10.0.0.2")}, "close 2 "+collision, "keepalive 1")
	d.is(established)
	d.on(evClosed{1, "connection reset by peer"}, "close 1", "down gracefully", "dial")
}

func TestRFC4271_4_4_KeepaliveIsAThirdOfTheHoldTime(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.after(3*time.Second - 1)
	d.on(evTick{})
	d.after(1)
	d.on(evTick{}, "keepalive 1")
}

func TestKeepaliveNeverAboveAThirdOfTheNegotiatedHoldTime(t *testing.T) {
	for set, want := range map[time.Duration]time.Duration{time.Second: time.Second, time.Minute: 3 * time.Second} {
		d := newDriver(t, func(c *fsmConfig) { c.keepalive = set })
		if got := d.keepaliveOf(theirOpen("10.0.0.2")); got != want {
			t.Errorf("configured %s: %s, want %s", set, got, want)
		}
	}
}

func TestRFC4271_6_5_HoldTimerExpires(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.after(5 * time.Second)
	d.on(evHeard{1, d.now})
	d.after(9*time.Second - 1)
	d.on(evTick{}, "keepalive 1")
	d.after(1)
	// Not gracefully: RFC 4724 §4.2 keeps routes on loss of the connection only.
	d.on(evTick{}, "close 1 Hold Timer Expired", "down", "dial")
}

func TestRFC4271_4_2_HoldTimeZeroNeverExpires(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evDialed{1}, "open 1")
	d.on(evOpen{1, peerOpen{asn: 65002, routerID: addr("10.0.0.2")}}, "keepalive 1")
	d.on(evKeepalive{1}, "up 1")
	if d.deadline() != never {
		t.Errorf("deadline %d, want none", d.deadline())
	}
}

func TestPeerThatSendsNoOpenIsGivenUp(t *testing.T) {
	d := newDriver(t, func(c *fsmConfig) { c.passive = true })
	d.on(evStart{})
	d.on(evAccepted{1}, "open 1")
	d.after(openHold)
	d.on(evTick{}, "close 1 Hold Timer Expired")
	d.is(active)
}

func TestRFC4271_6_6_MessagesInTheWrongState(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evDialed{1}, "open 1")
	d.on(evKeepalive{1}, "close 1 Finite State Machine Error/1")
	d.on(evDialed{2}, "open 2")
	d.on(evOpen{2, theirOpen("10.0.0.2")}, "keepalive 2")
	d.on(evOpen{2, theirOpen("10.0.0.2")}, "close 2 Finite State Machine Error/2")
}

func TestSessionLossDialsAtOnceButAFlapWaits(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.after(time.Minute)
	d.on(evClosed{1, "gone"}, "close 1", "down gracefully", "dial")
	d.on(evDialed{2}, "open 2")
	d.on(evOpen{2, theirOpen("10.0.0.2")}, "keepalive 2")
	d.on(evKeepalive{2}, "up 2")
	d.on(evNotified{2, cease(2, "")}, "close 2", "down")
	d.is(active)
	d.after(500 * time.Millisecond)
	d.on(evTick{}, "dial")
}

func TestUnreachableClosesAndReachableDialsAtOnce(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.on(evReachable{false}, "close 1 Cease/BFD Down", "down")
	d.is(idle)
	d.on(evAccepted{2}, "close 2 Cease/Connection Rejected")
	d.after(time.Hour)
	d.on(evTick{})
	d.on(evReachable{true}, "dial")
	d.on(evReachable{true})
}

func TestUnreachableGivesUpTheDial(t *testing.T) {
	d := newDriver(t, nil)
	d.on(evStart{}, "dial")
	d.on(evReachable{false}, "cancel")
}

func TestRFC4486_3_ResetHoldsThePeerDown(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.on(evReset{cease(1, ""), 30 * time.Second}, "close 1 Cease/Maximum Number of Prefixes Reached", "down")
	d.after(29 * time.Second)
	d.on(evTick{})
	d.on(evAccepted{2}, "close 2 Cease/Connection Rejected")
	d.after(time.Second)
	d.on(evTick{}, "dial")
}

func TestStopIsForGood(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	d.on(evStop{cease(2, "")}, "close 1 Cease/Administrative Shutdown", "down")
	d.is(idle)
	d.after(time.Hour)
	d.on(evTick{})
}

func TestSecondInboundReplacesTheFirst(t *testing.T) {
	d := newDriver(t, func(c *fsmConfig) { c.passive = true })
	d.on(evStart{})
	d.on(evAccepted{1}, "open 1")
	d.on(evAccepted{2}, "close 1 "+collision, "open 2")
}

func TestEventsOfClosedConnectionsAreIgnored(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	for _, ev := range []event{evClosed{9, ""}, evOpen{9, theirOpen("10.0.0.2")}, evKeepalive{9}, evNotified{9, cease(2, "")}, evError{9, cease(2, "")}, evHeard{9, 5}} {
		d.on(ev)
	}
}

func TestReasonsReadWell(t *testing.T) {
	d := newDriver(t, nil)
	d.establish()
	for _, a := range d.step(evNotified{1, cease(4, "maintenance")}, d.now) {
		if down, ok := a.(actDown); ok && down.reason != "received Cease/Administrative Reset: maintenance" {
			t.Errorf("reason %q", down.reason)
		}
	}
	if s := (&notification{code: 77, subcode: 3}).Error(); !strings.Contains(s, "77/3") {
		t.Errorf("unknown code reads %q", s)
	}
}
