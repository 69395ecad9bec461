package kernel_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

func (w *world) set(routes map[netip.Prefix]state.Group) {
	w.t.Helper()
	_, err := w.fib.Set(state.State{Routes: routes})
	w.must(err)
}

func (w *world) fail(failed ...state.NextHop) {
	w.t.Helper()
	for _, h := range failed {
		_, err := w.fib.Fail(h)
		w.must(err)
	}
}

func (w *world) restore(restored ...state.NextHop) {
	w.t.Helper()
	for _, h := range restored {
		_, err := w.fib.Restore(h)
		w.must(err)
	}
	_, err := w.fib.Update(nil, nil)
	w.must(err)
}

// clean asserts that an audit finds nothing to mend.
func (w *world) clean(fib *kernel.Netlink) {
	w.t.Helper()
	mended, err := fib.Audit()
	w.must(err)
	if len(mended) > 0 {
		w.t.Errorf("audit had to mend:\n%s", strings.Join(mended, "\n"))
	}
}

func TestFailAndRestore(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	w.golden(w.fib, "set")
	w.fail(isp1, isp16)
	w.golden(w.fib, "up1-failed")
	w.clean(w.fib)
	w.fail(isp2, isp26)
	w.golden(w.fib, "uplinks-failed")
	w.clean(w.fib)
	w.fail(peer, peer6)
	w.golden(w.fib, "all-failed")
	w.clean(w.fib)
	w.restore(isp1, isp16, isp2, isp26, peer, peer6)
	w.golden(w.fib, "set")
	w.clean(w.fib)
}

func TestFailTwiceAndOfAStranger(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	w.fail(isp1, isp1, hop("198.18.9.9", "up1"), hop("198.18.1.2", "nowhere"))
	if got := w.leg("100.65.0.1"); got != "198.18.3.2" {
		t.Errorf("100.65.0.1 goes to %s, want the backup", got)
	}
	w.restore(isp1, isp1)
	if got := w.leg("100.65.0.1"); got != "198.18.1.2" {
		t.Errorf("100.65.0.1 goes to %s, want the primary again", got)
	}
	w.clean(w.fib)
}

func TestRoutesSetWhileDownAvoidTheDead(t *testing.T) {
	w := newWorld(t)
	w.fail(isp1)
	w.set(nil)
	w.fail(isp1)
	_, err := w.fib.Update(both(), nil)
	w.must(err)
	if got := w.leg("100.65.0.1"); got != "198.18.3.2" {
		t.Errorf("100.65.0.1 goes to %s, want the backup", got)
	}
	_, err = w.fib.Set(state.State{Routes: both()}) // Down is empty: isp1 lives
	w.must(err)
	if got := w.leg("100.65.0.1"); got != "198.18.1.2" {
		t.Errorf("100.65.0.1 goes to %s, want the primary", got)
	}
	_, err = w.fib.Set(state.State{Routes: both(), Down: map[state.NextHop]bool{isp1: true}})
	w.must(err)
	if got := w.leg("100.65.0.1"); got != "198.18.3.2" {
		t.Errorf("100.65.0.1 goes to %s, want the backup: Set says that the primary is dead", got)
	}
}

// The kernel takes the lost legs out by itself and gives nothing back.
func TestCarrierLossOfOneLegAndBack(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	w.cut("up1")
	w.golden(w.fib, "kernel-alone") // before a word from us: the standby carries 100.65.0.0/24
	w.fail(isp1, isp16)
	w.golden(w.fib, "repaired")
	w.clean(w.fib)
	w.mend("up1")
	w.restore(isp1, isp16)
	w.golden(w.fib, "back")
	w.clean(w.fib)
}

func TestCarrierLossOfBothUplinks(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	w.cut("up1")
	w.cut("up2")
	if got := w.leg("100.64.0.1"); got != "198.18.3.2" {
		t.Errorf("100.64.0.1 goes to %s before any repair, want the standby", got)
	}
	w.fail(isp1, isp16, isp2, isp26)
	w.golden(w.fib, "repaired")
	w.clean(w.fib)
	w.mend("up2")
	w.restore(isp2, isp26)
	w.golden(w.fib, "up2-back")
	w.mend("up1")
	w.restore(isp1, isp16)
	w.golden(w.fib, "back")
	w.clean(w.fib)
}

// A backup over the same link cannot stand by in the kernel: its group and
// its routes are deleted, and come back over the living backup.
func TestCarrierLossWithoutStandby(t *testing.T) {
	w := newWorld(t)
	second := hop("198.18.1.77", "up1")
	w.set(map[netip.Prefix]state.Group{
		netip.MustParsePrefix("100.66.0.0/24"): {Primary: hops(isp1, second)},
		netip.MustParsePrefix("0.0.0.0/0"):     {Primary: hops(isp1), Backup: hops(second)},
	})
	w.cut("up1")
	w.fail(isp1, second)
	w.golden(w.fib, "cut")
	w.clean(w.fib)
	w.mend("up1")
	w.restore(isp1, second)
	w.golden(w.fib, "back")
	w.clean(w.fib)
}

// An event told late or never is made up for: routes set over a link that is
// gone wait as desired state, and an audit puts things right without events.
func TestUpdateOverALinkThatLostCarrierUnnoticed(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	w.cut("up1")
	_, err := w.fib.Update(map[netip.Prefix]state.Group{
		netip.MustParsePrefix("100.67.0.0/24"): {Primary: hops(isp1)},
		netip.MustParsePrefix("100.66.1.0/24"): {Primary: hops(isp1)},
		netip.MustParsePrefix("100.68.0.0/24"): {Primary: hops(isp1, isp2)},
		netip.MustParsePrefix("100.69.0.0/24"): {Primary: hops(hop("198.18.1.3", "up1")), Backup: hops(isp2)},
	}, []netip.Prefix{netip.MustParsePrefix("100.64.0.0/16")})
	w.must(err)
	w.golden(w.fib, "updated")
	w.mend("up1")
	for range 2 { // the first finds what is missing; the second finds peace
		_, err = w.fib.Audit()
		w.must(err)
		_, err = w.fib.Update(nil, nil)
		w.must(err)
	}
	w.golden(w.fib, "audited")
	w.clean(w.fib)
}

func TestLinkThatIsNotThereYet(t *testing.T) {
	w := newWorld(t)
	late := hop("198.18.7.2", "late0")
	w.set(map[netip.Prefix]state.Group{
		netip.MustParsePrefix("100.64.0.0/16"): {Primary: hops(late), Backup: hops(peer)},
		netip.MustParsePrefix("100.65.0.0/16"): {Primary: hops(late)},
	})
	w.golden(w.fib, "before")
	l, err := w.here.LinkByName("up1")
	w.must(err)
	w.must(w.here.LinkSetDown(l))
	w.must(w.here.LinkSetName(l, "late0"))
	w.must(w.here.LinkSetUp(l))
	w.await("late0", true)
	w.restore(late)
	w.golden(w.fib, "after")
	w.clean(w.fib)
}

func TestAdoptKeepsEverythingForwarding(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	before := w.ids()
	w.must(w.fib.Close()) // a crash: nothing is removed

	next := w.open()
	w.must(next.Adopt())
	routes := both()
	gone := netip.MustParsePrefix("100.64.0.0/16")
	delete(routes, gone)
	applied, err := next.Update(routes, nil)
	w.must(err)
	if applied.Routes+applied.Groups+applied.NextHops != 0 {
		t.Errorf("restart with the same routes changed %+v, want nothing", applied)
	}
	if diff := cmp.Diff(before, w.ids()); diff != "" {
		t.Errorf("restart changed the kernel's routes (-before +after):\n%s", diff)
	}
	w.clean(next)
	if stale := next.Stale(); stale != 1 {
		t.Errorf("%d routes stale, want 1", stale)
	}
	swept, err := next.Sweep()
	w.must(err)
	if swept != 1 {
		t.Errorf("swept %d routes, want 1", swept)
	}
	w.golden(next, "swept")
	w.clean(next)
}

// What links and BFD say before BGP is back changes nothing adopted.
func TestRestoreBetweenAdoptAndUpdate(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	before := w.ids()
	next := w.open()
	w.must(next.Adopt())
	for _, h := range hops(isp1, isp2, isp16) {
		_, err := next.Restore(h)
		w.must(err)
	}
	_, err := next.Fail(isp2)
	w.must(err)
	_, err = next.Restore(isp2)
	w.must(err)
	_, err = next.Update(both(), nil)
	w.must(err)
	if diff := cmp.Diff(before, w.ids()); diff != "" {
		t.Errorf("restart changed the kernel's routes (-before +after):\n%s", diff)
	}
	_, err = next.Sweep()
	w.must(err)
	w.clean(next)
	_, err = next.Set(state.State{})
	w.must(err)
	w.golden(next, "empty")
	w.clean(next)
	if left := w.ip("nexthop"); left != "" {
		t.Errorf("nexthop objects left:\n%s", left)
	}
}

// A restart into other groups replaces routes in place and sweeps the rest.
func TestAdoptIntoADifferentState(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	next := w.open()
	w.must(next.Adopt())
	_, err := next.Set(state.State{Routes: map[netip.Prefix]state.Group{
		netip.MustParsePrefix("0.0.0.0/0"):     {Primary: hops(isp2), Backup: hops(peer)},
		netip.MustParsePrefix("100.70.0.0/16"): {Primary: hops(isp2)},
	}})
	w.must(err)
	w.golden(next, "stale")
	_, err = next.Sweep()
	w.must(err)
	w.golden(next, "swept")
	w.clean(next)
}

// ids is the routes as "ip route" shows them, nexthop ids included.
func (w *world) ids() []string {
	w.t.Helper()
	var out []string
	for p := range both() {
		text, err := w.fibText(p)
		w.must(err)
		out = append(out, text)
	}
	return sorted(out)
}

func TestAuditMends(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	w.vandalise()
	mended, err := w.fib.Audit()
	w.must(err)
	w.compare("mended", strings.Join(mended, "\n")+"\n")
	w.golden(w.fib, "after")
	w.clean(w.fib)
}

func TestCleanUp(t *testing.T) {
	w := newWorld(t)
	w.set(both())
	other := w.open()
	w.must(other.CleanUp())
	w.golden(other, "empty")
	w.clean(other)
	w.must(other.CleanUp())
}

// Repairs while everything moves: the last word of each side holds.
func TestFailDuringUpdate(t *testing.T) {
	w := newWorld(t)
	a := state.Group{Primary: hops(isp1, isp2), Backup: hops(peer)}
	b := state.Group{Primary: hops(isp1), Backup: hops(peer)}
	done := make(chan error)
	go func() {
		var err error
		for _, g := range []state.Group{a, b, a, b} {
			if _, e := w.fib.Update(table(10_000, false, g), nil); e != nil {
				err = e
			}
		}
		done <- err
	}()
	for moving := true; moving; {
		w.fail(isp1)
		_, err := w.fib.Restore(isp1)
		w.must(err)
		w.fail(isp1)
		select {
		case err := <-done:
			w.must(err)
			moving = false
		default:
		}
	}
	for i := range 20 {
		addr := fmt.Sprintf("20.%d.%d.1", i, i*10)
		if got := w.leg(addr); got != "198.18.3.2" {
			t.Errorf("%s goes to %s, want the backup", addr, got)
		}
	}
	w.clean(w.fib)
	w.restore(isp1)
	if got := w.leg("20.0.0.1"); got != "198.18.1.2" {
		t.Errorf("20.0.0.1 goes to %s, want the primary", got)
	}
	w.clean(w.fib)
}

func TestManyRoutesBothFamilies(t *testing.T) {
	w := newWorld(t)
	const count = 10_000
	for _, v6 := range []bool{false, true} {
		g, victim := wide(v6)
		applied, err := w.fib.Update(table(count, v6, g), nil)
		w.must(err)
		if applied.Routes != count || applied.Groups != 1 {
			t.Errorf("v6=%v: %+v, want %d routes on one group", v6, applied, count)
		}
		applied, err = w.fib.Fail(victim)
		w.must(err)
		if applied.Routes != 0 || applied.Groups != 1 {
			t.Errorf("v6=%v: a repair changed %+v, want one group and no route", v6, applied)
		}
	}
	w.clean(w.fib)
	w.set(nil)
	w.golden(w.fib, "empty")
}

// Routes of a deleted group come back, all of them, once a link is there.
func TestManyRoutesComeBackAfterCarrierLoss(t *testing.T) {
	w := newWorld(t)
	const count = 2_000
	w.set(table(count, false, state.Group{Primary: hops(isp1)}))
	w.cut("up1")
	w.fail(isp1)
	w.mend("up1")
	_, err := w.fib.Restore(isp1)
	w.must(err)
	applied, err := w.fib.Update(nil, nil)
	w.must(err)
	if applied.Routes != count {
		t.Errorf("an empty update brought %d routes back, want %d", applied.Routes, count)
	}
	w.clean(w.fib)
}
