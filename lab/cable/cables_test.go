package cable

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	handle "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"gwlab/fault"
	"gwlab/internal/monotime"
)

var (
	whole = fault.CableState{AtoB: fault.PassAll, BtoA: fault.PassAll, Carrier: true}
	cut   = fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassNone}
	deaf  = fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassAll, Carrier: true}
	dark  = fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassNone, Carrier: true}
)

func set(t *testing.T, c *Cables, link string, s fault.CableState) fault.Effect {
	t.Helper()
	e, err := c.Set(link, s)
	if err != nil {
		t.Fatal(err)
	}
	if e.Call == 0 || e.Return < e.Call || e.Return > monotime.Now() {
		t.Fatalf("effect %+v does not bracket an instant", e)
	}
	return e
}

func counters(t *testing.T, c *Cables, link string) (ab, ba fault.Counters) {
	t.Helper()
	ab, ba, err := c.Counters(link)
	if err != nil {
		t.Fatal(err)
	}
	return ab, ba
}

func TestBlackholeOneWayCountsExactly(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 1)
	c := build(t, s)
	f := newFlow(t, s)
	f.send(t, f.a, 100)
	f.send(t, f.b, 50)
	f.expect(t, f.b, 100)
	f.expect(t, f.a, 50)
	ab0, ba0 := counters(t, c, "l0")
	if ab0.Passed < 100 || ba0.Passed < 50 || ab0.Dropped+ba0.Dropped != 0 || ab0.FirstDrop != 0 {
		t.Fatalf("before: %+v %+v", ab0, ba0)
	}
	e := set(t, c, "l0", deaf)
	sent := monotime.Now()
	f.send(t, f.a, 70)
	f.send(t, f.b, 30)
	f.expect(t, f.a, 30)
	ab, ba := counters(t, c, "l0")
	if ab.Dropped != 70 || ab.Passed != ab0.Passed || ba.Dropped != 0 || ba.Passed != ba0.Passed+30 {
		t.Errorf("deaf: a to b %+v (before %+v), b to a %+v (before %+v)", ab, ab0, ba, ba0)
	}
	if ab.FirstDrop < e.Call || ab.FirstDrop < sent || ab.LastDrop < ab.FirstDrop || ab.LastDrop > monotime.Now() {
		t.Errorf("drops from %d to %d, want after %d", ab.FirstDrop, ab.LastDrop, sent)
	}
	if n := f.pending(f.b); n != 0 {
		t.Errorf("%d packets came through a deaf direction", n)
	}
	lastAB, lastBA, err := c.LastPass("l0")
	if err != nil || lastAB > e.Return || lastBA < e.Return {
		t.Errorf("last passes %d and %d around %+v: %v", lastAB, lastBA, e, err)
	}
	set(t, c, "l0", whole)
	if ab, _ := counters(t, c, "l0"); ab.FirstDrop != 0 || ab.Dropped != 70 {
		t.Errorf("after heal: %+v, want the first drop forgotten and the count kept", ab)
	}
	f.send(t, f.a, 10)
	f.expect(t, f.b, 10)
}

// A sender that never pauses shows when traffic really stopped.
func TestEffectBracketsTheInstantTrafficStopped(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 1)
	c := build(t, s)
	f := newFlow(t, s)
	for range 5 {
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = unix.Write(f.a, make([]byte, 64))
				}
			}
		})
		waitFor(t, "traffic", func() bool { at, _, _ := c.LastPass("l0"); return monotime.Now()-at < int64(time.Millisecond) })
		e := set(t, c, "l0", dark)
		waitFor(t, "drops", func() bool { ab, _ := counters(t, c, "l0"); return ab.Dropped > 0 && ab.FirstDrop > 0 })
		close(stop)
		wg.Wait()
		ab, _ := counters(t, c, "l0")
		last, _, _ := c.LastPass("l0")
		// The program reads the clock a moment before it reads the mode.
		slack := int64(100 * time.Microsecond)
		if last > e.Return || ab.FirstDrop < e.Call-slack {
			t.Errorf("last pass %+d ns, first drop %+d ns from the call; effect %d ns wide", last-e.Call, ab.FirstDrop-e.Call, e.Return-e.Call)
		}
		t.Logf("effect %d ns wide; from the call: last pass %+d ns, first drop %+d ns", e.Return-e.Call, last-e.Call, ab.FirstDrop-e.Call)
		set(t, c, "l0", whole)
	}
}

func TestCutTakesCarrierFromBothEndsAndHealGivesItBack(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 2)
	c := build(t, s)
	ends := []End{s.Links[0].A, s.Links[0].B}
	carriers := func(want bool) func() bool {
		return func() bool {
			for _, e := range ends {
				got, err := Carrier(e.Netns, e.Name)
				if err != nil {
					t.Fatal(err)
				}
				if got != want {
					return false
				}
			}
			return true
		}
	}
	waitFor(t, "carrier after build", carriers(true))
	for range 2 { // idempotent
		set(t, c, "l0", cut)
		waitFor(t, "carrier gone", carriers(false))
	}
	ping(t, s.Links[1].A.Netns, "198.18.1.2")
	for range 2 {
		set(t, c, "l0", whole)
		waitFor(t, "carrier back", carriers(true))
	}
	ping(t, s.Links[0].A.Netns, "198.18.0.2")
}

func TestSetManyShutsAllGatesBeforeAnyCarrier(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 3)
	c := build(t, s)
	e, err := c.SetMany(Change{Link: "l0", State: cut}, Change{Link: "l1", State: dark}, Change{Link: "l2", State: whole, BFirst: true})
	if err != nil {
		t.Fatal(err)
	}
	if up, err := Carrier(s.Links[1].A.Netns, "p1"); err != nil || !up {
		t.Errorf("dark link's carrier: %v, %v", up, err)
	}
	waitFor(t, "carrier gone", func() bool { up, _ := Carrier(s.Links[0].A.Netns, "p0"); return !up })
	if out, err := inside(t, s.Links[1].A.Netns, "ping", "-c1", "-W", "0.2", "198.18.1.2"); err == nil {
		t.Errorf("dark link passes: %s", out)
	}
	ping(t, s.Links[2].A.Netns, "198.18.2.2")
	t.Logf("three links, effect %d ns wide", e.Return-e.Call)
}

func TestVerbsRefuse(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 2)
	s.Links[1].Type = Veth
	c := build(t, s)
	for name, try := range map[string]struct {
		err  func() error
		want string
	}{
		"bare veth":    {func() error { _, err := c.Set("l1", cut); return err }, "type: cable"},
		"unknown link": {func() error { _, err := c.Set("l9", cut); return err }, `no link "l9"`},
		"unknown pass": {func() error { _, err := c.Set("l0", fault.CableState{AtoB: "some"}); return err }, `"some"`},
		"no counters":  {func() error { _, _, err := c.Counters("l1"); return err }, "bare veth"},
		"no last pass": {func() error { _, _, err := c.LastPass("l1"); return err }, "bare veth"},
		"unknown port": {func() error { _, err := SetPort(s.Middle, "p9", true); return err }, "p9"},
		"no namespace": {func() error { _, err := Carrier("/nowhere", "p0"); return err }, "/nowhere"},
		"half a change": {func() error {
			_, err := c.SetMany(Change{Link: "l0", State: cut}, Change{Link: "l9", State: cut})
			return err
		}, "l9"},
	} {
		if err := try.err(); err == nil || !strings.Contains(err.Error(), try.want) {
			t.Errorf("%s: %v, want %q", name, err, try.want)
		}
	}
	ping(t, s.Links[0].A.Netns, "198.18.0.2")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set("l0", cut); err == nil {
		t.Error("a closed set still acts")
	}
	ping(t, s.Links[0].A.Netns, "198.18.0.2") // traffic outlives the hand on it
}

func TestSetPort(t *testing.T) {
	needRoot(t)
	s := pair(t, Veth, 1)
	build(t, s)
	a, b := s.Links[0].A, s.Links[0].B
	for _, up := range []bool{false, true} {
		if _, err := SetPort(a.Netns, a.Name, up); err != nil {
			t.Fatal(err)
		}
		waitFor(t, "carrier at the far end", func() bool { got, _ := Carrier(b.Netns, b.Name); return got == up })
	}
}

// Carrier must be lost at both ends within milliseconds even right after
// another link has flapped: the kernel would hold the event back for up to a
// second had the ends of a pair equal indexes.
func TestCarrierLossIsPromptWhileAnotherLinkFlaps(t *testing.T) {
	needRoot(t)
	s := pair(t, Cable, 2)
	c := build(t, s)
	watchA := watchCarrier(t, s.Links[0].A)
	watchB := watchCarrier(t, s.Links[0].B)
	worst := int64(0)
	for _, up := range []bool{false, true, false, true, false, true} {
		set(t, c, "l1", cut)
		set(t, c, "l1", whole)
		state := cut
		if up {
			state = whole
		}
		e := set(t, c, "l0", state)
		atA, atB := watchA(up), watchB(up)
		t.Logf("carrier %t: at A after %.3f ms, at B after %.3f ms", up, float64(atA-e.Call)/1e6, float64(atB-e.Call)/1e6)
		worst = max(worst, atA-e.Call, atB-e.Call)
	}
	// Far above what is normal and far below the kernel's delay.
	if worst > int64(300*time.Millisecond) {
		t.Errorf("carrier event after %.1f ms", float64(worst)/1e6)
	}
}

// watchCarrier returns a function that waits for an end's carrier to be as
// wanted and says when that was learnt.
func watchCarrier(t *testing.T, e End) func(up bool) int64 {
	t.Helper()
	ns, err := handle.GetFromPath(e.Netns)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ns.Close() }()
	updates, done := make(chan netlink.LinkUpdate, 256), make(chan struct{})
	if err := netlink.LinkSubscribeAt(ns, updates, done); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(done) })
	return func(up bool) int64 {
		for {
			select {
			case u := <-updates:
				if u.Link.Attrs().Index == e.Index && (u.Link.Attrs().RawFlags&unix.IFF_RUNNING != 0) == up {
					return monotime.Now()
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("no event for carrier %t at %s", up, e.Name)
			}
		}
	}
}
