package bfd

import (
	"net/netip"
	"testing"
	"time"

	"gwlab/internal/monotime"
)

func TestTwoEnginesComeUp(t *testing.T) {
	g := newGround(t)
	localA, localB := netip.MustParseAddr("fe80::a"), netip.MustParseAddr("fe80::b")
	run(t, "", "ip", "-n", g.a, "addr", "add", "fe80::a/64", "dev", "up0", "nodad")
	run(t, "", "ip", "-n", g.b, "addr", "add", "fe80::b/64", "dev", "up0", "nodad")
	a, b := start(t, g.a), start(t, g.b)
	p := params(50 * time.Millisecond)
	began := monotime.Now()
	a.Set(map[Key]Params{key4(addrA4, addrB4): p, key4(addrA6, addrB6): p, key4(localA, localB): p})
	b.Set(map[Key]Params{key4(addrB4, addrA4): p, key4(addrB6, addrA6): p, key4(localB.WithZone("up0"), localA.WithZone("up0")): p})
	for _, up := range []Change{a.await(t, addrB4, Up), b.await(t, addrA4, Up)} {
		t.Logf("IPv4 up after %v", time.Duration(up.At-began))
	}
	until(t, "IPv6 up on both sides", func() bool {
		return a.status(t, addrB6).State == "up" && b.status(t, addrA6).State == "up"
	})
	until(t, "link-local up on both sides", func() bool {
		return a.status(t, localB).State == "up" && b.status(t, localA.WithZone("up0")).State == "up"
	})
	t.Logf("IPv6 up seen after %v; real time: %v", time.Duration(monotime.Now()-began), a.RealTime())
}

// TestSilentLossIsDetected cuts both directions with carrier left alone.
func TestSilentLossIsDetected(t *testing.T) {
	for _, interval := range []time.Duration{50 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(interval.String(), func(t *testing.T) {
			g := newGround(t)
			a, b := bothUp(t, g, params(interval))
			cut := deafen(t, g.a)
			down := a.await(t, addrB4, Down)
			t.Logf("3 × %v: down %v after the cut, %v after the last packet", interval,
				time.Duration(down.At-cut), time.Duration(down.At-down.LastRx))
			if down.Diag != DiagTimeout || !down.PathFailed() {
				t.Errorf("got %+v, want a path failure by timeout", down)
			}
			if down.At-down.LastRx < int64(2*interval) {
				t.Errorf("declared down only %v after the last packet", time.Duration(down.At-down.LastRx))
			}
			// The other end still hears: it learns from the packets (one-way loss).
			told := b.await(t, addrA4, Down)
			if told.Diag != DiagNeighborDown || !told.PathFailed() {
				t.Errorf("other end: got %+v, want a neighbor-signaled path failure", told)
			}
			healed := monotime.Now()
			undeafen(t, g.a)
			up := a.await(t, addrB4, Up)
			t.Logf("up %v after the heal", time.Duration(up.At-healed))
		})
	}
}
