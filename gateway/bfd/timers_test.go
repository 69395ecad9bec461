package bfd

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRFC5880Section6_8_3SlowWhileNotUp(t *testing.T) {
	r := newRig(t, 10*time.Millisecond, 3)
	r.do(event{kind: evStart})
	if r.desiredMinTx != 1_000_000 || r.txInterval() != time.Second {
		t.Errorf("advertises %d µs, sends every %v", r.desiredMinTx, r.txInterval())
	}
	r.up()
	r.hear(Down)
	if r.desiredMinTx != 1_000_000 || r.txInterval() != time.Second {
		t.Errorf("after down: advertises %d µs, sends every %v", r.desiredMinTx, r.txInterval())
	}
}

func TestRFC5880Section6_8_7Jitter(t *testing.T) {
	for _, tt := range []struct {
		mult        uint8
		least, most int64
	}{{3, 75, 100}, {1, 75, 90}} {
		r := newRig(t, 100*time.Millisecond, tt.mult).up()
		r.hear(Up, func(p *Packet) { p.RequiredMinRx = 1 })
		low, high := int64(1<<62), int64(0)
		for range 2000 {
			r.schedule()
			gap := r.nextTx - r.lastTx
			low, high = min(low, gap), max(high, gap)
		}
		if low < tt.least*ms || high > tt.most*ms || low > (tt.least+1)*ms || high < (tt.most-1)*ms {
			t.Errorf("multiplier %d: %v to %v of 100 ms", tt.mult, time.Duration(low), time.Duration(high))
		}
	}
}

func TestRFC5880Section6_8_7PeerThatWantsNoPackets(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	none := func(p *Packet) { p.RequiredMinRx = 0 }
	r.hear(Up, none)
	for range 3 {
		r.now = r.nextTx
		r.lastRx, r.detectAt = r.now, 0
		r.want(r.do(event{kind: evTimer}), "")
	}
	r.want(r.hear(Up, none, poll), "send up F")
}

func TestRFC5880Section6_8_2SlowerOfTheTwo(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.hear(Up, func(p *Packet) { p.RequiredMinRx = 300_000 })
	r.want(r.txInterval().String(), "300ms")
	if gap := r.nextTx - r.lastTx; gap < 225*ms || gap > 300*ms {
		t.Errorf("next packet after %v", time.Duration(gap))
	}
}

func TestRFC5880Section6_5PollSequence(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3)
	r.do(event{kind: evStart})
	r.hear(Down)
	r.want(r.hear(Up), "init>up(none), send up P")
	r.now = r.nextTx
	r.want(r.do(event{kind: evTimer}), "send up P")
	// A Final answers a Poll, never with Poll in it.
	r.want(r.hear(Up, poll), "send up F")
	r.hear(Up, final)
	r.now = r.nextTx
	r.want(r.do(event{kind: evTimer}), "send up")
}

func TestRFC5880Section6_8_3ChangesWhileUp(t *testing.T) {
	type view struct {
		Advertised, Tx, Detect string
		Polling                bool
	}
	look := func(r *rig) view {
		return view{(time.Duration(r.desiredMinTx) * time.Microsecond).String(), r.txInterval().String(), r.detectTime().String(), r.polling}
	}
	quick := func(p *Packet) { p.DesiredMinTx, p.RequiredMinRx = 1000, 1000 }
	check := func(r *rig, what string, want view) {
		t.Helper()
		if diff := cmp.Diff(want, look(r)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.hear(Up, quick)

	r.want(r.do(event{kind: evParams, params: Params{Interval: 200 * time.Millisecond, Multiplier: 3}}), "send up P")
	check(r, "longer: detection waits longer at once, sending slows after the poll", view{"200ms", "50ms", "600ms", true})
	r.hear(Up, quick, final)
	check(r, "longer, polled", view{"200ms", "200ms", "600ms", false})

	r.do(event{kind: evParams, params: Params{Interval: 10 * time.Millisecond, Multiplier: 3}})
	check(r, "shorter: sending speeds up at once, detection after the poll", view{"10ms", "10ms", "600ms", true})
	r.hear(Up, quick, final)
	check(r, "shorter, polled", view{"10ms", "10ms", "30ms", false})
}

func TestRFC5880Section6_5ChangeDuringPollNeedsAnother(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.do(event{kind: evParams, params: Params{Interval: 200 * time.Millisecond, Multiplier: 3}})
	r.do(event{kind: evParams, params: Params{Interval: 300 * time.Millisecond, Multiplier: 3}})
	r.hear(Up, final)
	if !r.polling || r.txInterval() != 50*time.Millisecond {
		t.Errorf("the first Final ended the second poll: %v", r.txInterval())
	}
	r.hear(Up, final)
	if r.polling || r.txInterval() != 300*time.Millisecond {
		t.Errorf("polling %v, interval %v", r.polling, r.txInterval())
	}
}

func TestParamsChangedWhileDownAndUnchanged(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3)
	r.do(event{kind: evStart})
	r.want(r.do(event{kind: evParams, params: Params{Interval: 10 * time.Millisecond, Multiplier: 5}}), "send down")
	if r.requiredMinRx != 10_000 || r.txInterval() != time.Second || r.polling {
		t.Errorf("min rx %d, interval %v, polling %v", r.requiredMinRx, r.txInterval(), r.polling)
	}
	r.want(r.do(event{kind: evParams, params: Params{Interval: 10 * time.Millisecond, Multiplier: 5}}), "")
	r.up()
	r.want(r.do(event{kind: evParams, params: Params{Interval: 10 * time.Millisecond, Multiplier: 9}}), "send up")
}

func TestParamsNormal(t *testing.T) {
	for _, tt := range []struct{ in, want Params }{
		{Params{}, Params{50 * time.Millisecond, 3}},
		{Params{time.Microsecond, 1}, Params{time.Millisecond, 1}},
		{Params{-time.Second, 255}, Params{time.Millisecond, 255}},
		{Params{100 * time.Hour, 3}, Params{time.Hour, 3}},
	} {
		if got := tt.in.normal(); got != tt.want {
			t.Errorf("%+v: got %+v, want %+v", tt.in, got, tt.want)
		}
	}
	if got := micros(maxInterval); got != 3_600_000_000 {
		t.Errorf("an hour is %d µs on the wire", got)
	}
}

func TestRFC5880Section6_8_4DetectionTime(t *testing.T) {
	r := newRig(t, 10*time.Millisecond, 5).up()
	slower := func(p *Packet) { p.DesiredMinTx, p.DetectMult = 40_000, 4 }
	r.hear(Up, slower) // remote mult × max(local RequiredMinRx, remote DesiredMinTx)
	r.want(r.detectTime().String(), "160ms")
	heard := r.now
	r.hear(Up, slower, func(p *Packet) { p.DesiredMinTx = 1000 })
	r.want(r.detectTime().String(), "40ms")

	r.now = heard + 40*ms - 1
	if r.detecting(r.now) {
		t.Error("detection time over too early")
	}
	r.now++
	r.want(r.do(event{kind: evTimer}), "up>down(control-detection-time-expired), send down")
	if r.remoteDisc != 0 || r.detectAt != 0 {
		t.Errorf("§6.8.1: remote discriminator %d, deadline %d remain", r.remoteDisc, r.detectAt)
	}
}
