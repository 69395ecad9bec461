package bfd

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const ms = int64(time.Millisecond)

// rig drives one session by hand.
type rig struct {
	*session
	t   *testing.T
	now int64
}

func newRig(t *testing.T, interval time.Duration, mult uint8) *rig {
	return &rig{
		session: newSession(7, Params{Interval: interval, Multiplier: mult}, rand.New(rand.NewPCG(1, 2))),
		t:       t,
		now:     1e12,
	}
}

// do feeds an event and returns what came of it, as text.
func (r *rig) do(ev event) string {
	var out []string
	for _, a := range r.Step(&ev, r.now) {
		switch a.kind {
		case actChange:
			out = append(out, fmt.Sprintf("%v>%v(%v)", a.old, r.state, r.diag))
		case actSend:
			flags := ""
			if a.packet.Poll {
				flags += " P"
			}
			if a.packet.Final {
				flags += " F"
			}
			out = append(out, fmt.Sprintf("send %v%s", a.packet.State, flags))
		}
	}
	return strings.Join(out, ", ")
}

// hear feeds a packet of a peer that sends every 50 ms and wants the same.
func (r *rig) hear(state State, change ...func(*Packet)) string {
	p := Packet{State: state, DetectMult: 3, MyDisc: 99, YourDisc: 7, DesiredMinTx: 50_000, RequiredMinRx: 50_000}
	for _, f := range change {
		f(&p)
	}
	return r.do(event{kind: evPacket, packet: p, rx: r.now})
}

func (r *rig) want(got, want string) {
	r.t.Helper()
	if got != want {
		r.t.Errorf("got %q, want %q", got, want)
	}
}

// up brings the session to Up with its Poll Sequence over.
func (r *rig) up() *rig {
	r.t.Helper()
	r.do(event{kind: evStart})
	r.hear(Down)
	r.hear(Up, final)
	r.hear(Up, final)
	if r.state != Up || r.polling {
		r.t.Fatalf("not up: %v, polling %v", r.state, r.polling)
	}
	return r
}

func final(p *Packet) { p.Final = true }
func poll(p *Packet)  { p.Poll = true }

func TestRFC5880Section6_2StateTable(t *testing.T) {
	for _, tt := range []struct{ local, remote, want State }{
		{Down, AdminDown, Down}, {Down, Down, Init}, {Down, Init, Up}, {Down, Up, Down},
		{Init, AdminDown, Down}, {Init, Down, Init}, {Init, Init, Up}, {Init, Up, Up},
		{Up, AdminDown, Down}, {Up, Down, Down}, {Up, Init, Up}, {Up, Up, Up},
		{AdminDown, AdminDown, AdminDown}, {AdminDown, Down, AdminDown}, {AdminDown, Init, AdminDown}, {AdminDown, Up, AdminDown},
	} {
		r := newRig(t, 50*time.Millisecond, 3)
		r.state = tt.local
		out := r.hear(tt.remote)
		if r.state != tt.want {
			t.Errorf("%v hears %v: %v, want %v", tt.local, tt.remote, r.state, tt.want)
		}
		if news := tt.local != tt.want || tt.local == Down && tt.remote == AdminDown; (out != "") != news {
			t.Errorf("%v hears %v: actions %q", tt.local, tt.remote, out)
		}
	}
}

func TestRFC5880Section6_2ThreeWayHandshake(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3)
	r.want(r.do(event{kind: evStart}), "send down")
	r.want(r.hear(Down), "down>init(none), send init")
	r.want(r.hear(Init), "init>up(none), send up P")
}

// Two machines wired together settle in Up at both ends without a timer.
func TestRFC5880Section6_8_7NewsGoOutAtOnce(t *testing.T) {
	a, b := newRig(t, 50*time.Millisecond, 3), newRig(t, 50*time.Millisecond, 3)
	b.localDisc = 8
	type letter struct {
		to *rig
		p  Packet
	}
	var post []letter
	step := func(r, other *rig, ev event) {
		for _, act := range r.Step(&ev, r.now) {
			if act.kind == actSend {
				post = append(post, letter{other, act.packet})
			}
		}
	}
	step(a, b, event{kind: evStart})
	step(b, a, event{kind: evStart})
	for n := 0; len(post) > 0; n++ {
		if n > 20 {
			t.Fatal("the two never stop talking")
		}
		l := post[0]
		post = post[1:]
		other := map[*rig]*rig{a: b, b: a}[l.to]
		step(l.to, other, event{kind: evPacket, packet: l.p, rx: l.to.now})
	}
	if a.state != Up || b.state != Up {
		t.Errorf("ended in %v and %v", a.state, b.state)
	}
}

// The stamp counts, not the moment the packet is read.
func TestDetectionTimeRunsFromTheArrivalStamp(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	stamp := r.now
	r.now += 100 * ms
	r.do(event{kind: evPacket, rx: stamp, packet: Packet{State: Up, DetectMult: 3, MyDisc: 99, YourDisc: 7, DesiredMinTx: 50_000, RequiredMinRx: 50_000}})
	if r.detectAt != stamp+150*ms {
		t.Errorf("deadline %d after the stamp, want 150 ms", r.detectAt-stamp)
	}
}

func TestRFC5880Section6_8_1SilentPeerIsForgottenInDown(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.hear(Down, func(p *Packet) { p.RequiredMinRx = 0 })
	r.now = r.detectAt
	r.do(event{kind: evTimer})
	if r.remoteDisc != 0 || r.remoteMinRx != 1 || r.remoteState != Down {
		t.Errorf("kept disc %d, min rx %d, state %v", r.remoteDisc, r.remoteMinRx, r.remoteState)
	}
}

func TestRFC5880Section6_8_6NeighborDown(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.want(r.hear(Down), "up>down(neighbor-signaled-down), send down")
	r.want(r.hear(Down), "down>init(neighbor-signaled-down), send init")
}

func TestRFC5882Section3_2RemoteAdminDownIsNoFailure(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.want(r.hear(AdminDown), "up>down(neighbor-signaled-down), send down")
	c := newPeer(Key{}, r.session).change(Up, r.now)
	if c.PathFailed() || c.RemoteState != AdminDown {
		t.Errorf("a remote AdminDown reads as a path failure: %+v", c)
	}
	for _, tt := range []struct {
		c    Change
		want bool
	}{
		{Change{Old: Up, State: Down, Diag: DiagTimeout, RemoteState: Down}, true},
		{Change{Old: Up, State: Down, Diag: DiagNeighborDown, RemoteState: Down}, true},
		{Change{Old: Init, State: Down, RemoteState: Down}, false},
		{Change{Old: Up, State: AdminDown, RemoteState: Up}, false},
		{Change{Old: Init, State: Up, RemoteState: Up}, false},
	} {
		if got := tt.c.PathFailed(); got != tt.want {
			t.Errorf("%+v: PathFailed %v", tt.c, got)
		}
	}
}

// A peer that failed and is then shut is not waited for: its clients hear so,
// once, though the session stays in Down.
func TestRFC5882Section3_2AdminDownAfterAFailureIsTold(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.now = r.detectAt
	r.want(r.do(event{kind: evTimer}), "up>down(control-detection-time-expired), send down")
	r.want(r.hear(AdminDown), "down>down(control-detection-time-expired)")
	if c := newPeer(Key{}, r.session).change(Down, r.now); c.PathFailed() || c.RemoteState != AdminDown {
		t.Errorf("told as %+v", c)
	}
	r.want(r.hear(AdminDown), "")
	r.want(r.hear(Down), "down>init(control-detection-time-expired), send init")
}

func TestRFC5880Section6_8_16AdminDown(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	r.want(r.do(event{kind: evAdminDown}), "up>admin-down(administratively-down), send admin-down")
	r.want(r.do(event{kind: evAdminDown}), "")
	r.want(r.hear(Down), "")
	r.now += 10_000 * ms
	r.want(r.do(event{kind: evTimer}), "")
}

func TestLinkComesUp(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3)
	r.do(event{kind: evStart})
	r.want(r.do(event{kind: evLink}), "send down")
	r.want(r.up().do(event{kind: evLink}), "")
}

func TestWordsOfStatesAndDiags(t *testing.T) {
	seen := map[string]bool{}
	for s := State(0); s <= Up+1; s++ {
		seen[s.String()] = true
	}
	for d := Diag(0); d <= DiagReverseConcatenatedDown+1; d++ {
		seen[d.String()] = true
	}
	if len(seen) != 5+10 {
		t.Errorf("%d different words: %v", len(seen), seen)
	}
	if text, err := Up.MarshalText(); err != nil || string(text) != "up" {
		t.Errorf("Up marshals to %q, %v", text, err)
	}
	if text, err := DiagTimeout.MarshalText(); err != nil || string(text) != "control-detection-time-expired" {
		t.Errorf("timeout marshals to %q, %v", text, err)
	}
}

func TestStepAllocatesNothing(t *testing.T) {
	r := newRig(t, 50*time.Millisecond, 3).up()
	ev := event{kind: evPacket, packet: Packet{State: Up, DetectMult: 3, MyDisc: 99, YourDisc: 7, DesiredMinTx: 50_000, RequiredMinRx: 50_000, Poll: true}}
	if n := testing.AllocsPerRun(100, func() { r.now += ms; ev.rx = r.now; r.Step(&ev, r.now) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzStep: no sequence of events breaks what a peer may rely on.
func FuzzStep(f *testing.F) {
	f.Add([]byte{1, 3, 3, 2, 2, 4, 3, 6})
	f.Add([]byte{1, 0x53, 0x93, 0xd3, 2, 0x13, 6, 3})
	f.Fuzz(func(t *testing.T, script []byte) {
		r := newRig(t, 50*time.Millisecond, 3)
		for i, b := range script {
			r.now += int64(b) * ms
			ev := event{kind: eventKind(b%6) + 1, rx: r.now - int64(b%7)*ms, params: Params{Interval: time.Duration(b) * time.Millisecond}}
			ev.packet = Packet{State: State(b >> 6), DetectMult: b | 1, MyDisc: 1, Poll: b&8 != 0, Final: b&16 != 0,
				DesiredMinTx: uint32(b) * 500, RequiredMinRx: uint32(b&32) * 1000}
			for _, a := range r.Step(&ev, r.now) {
				if a.kind == actSend && (a.packet.Poll && a.packet.Final || a.packet.State != r.state) {
					t.Fatalf("event %d sends %+v in state %v", i, a.packet, r.state)
				}
			}
			if r.state != Up && r.txInterval() < time.Second {
				t.Fatalf("event %d: %v every %v", i, r.state, r.txInterval())
			}
			if r.nextTx != 0 && r.nextTx <= r.lastTx {
				t.Fatalf("event %d: next transmission does not advance", i)
			}
		}
	})
}

func BenchmarkStepPacket(b *testing.B) {
	s := newSession(7, Params{}, rand.New(rand.NewPCG(1, 2)))
	ev := event{kind: evPacket, packet: Packet{State: Up, DetectMult: 3, MyDisc: 99, YourDisc: 7, DesiredMinTx: 50_000, RequiredMinRx: 50_000}}
	b.ReportAllocs()
	for now := int64(1e12); b.Loop(); now += ms {
		ev.rx = now
		s.Step(&ev, now)
	}
}

func BenchmarkStepTimer(b *testing.B) {
	s := newSession(7, Params{}, rand.New(rand.NewPCG(1, 2)))
	ev := event{kind: evTimer}
	b.ReportAllocs()
	for now := int64(1e12); b.Loop(); now = s.nextTx {
		s.Step(&ev, now)
	}
}
