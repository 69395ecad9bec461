package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"gwlab/gateway/config"
)

func TestTwoSpeakersExchangeRoutes(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, func(near, _ *config.Config) {
		near.Networks = []config.Network{{Prefix: prefix("198.51.100.0/24")}}
	})
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	far.awaitRoutes(t, 1)
	near.awaitEvent(t, "synced", isSynced)
	far.awaitEvent(t, "synced", isSynced)
	st := near.Status()[0]
	if st.State != "Established" || st.Received != 3000 || st.Advertised != 1 || st.HoldTime != 9 || !st.Synced || st.Established == 0 {
		t.Errorf("status %+v", st)
	}
	far.stop()
	near.awaitRoutes(t, 0)
	if got := near.Routes(); len(got) != 1 {
		t.Errorf("routes %v, want the network of its own", got)
	}
}

// The end of this process must not end forwarding: nothing is withdrawn from
// the reader of updates.
func TestStopLeavesTheFIBAlone(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near := run(t, nearCfg, Deps{Net: nearNet})
	run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	near.stop()
	if len(near.fib) != 3000 {
		t.Errorf("%d routes after the stop, want 3000", len(near.fib))
	}
}

func TestSetReachable(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	near.SetReachable(farNet.self, false)
	near.awaitRoutes(t, 0)
	far.awaitEvent(t, "told why", func(e PeerEvent) bool { return isDown(e) && e.Reason == "received Cease/BFD Down" })
	if st := near.Status()[0]; st.State != "Idle" || st.LastReason != "sent Cease/BFD Down: peer is not reachable" {
		t.Errorf("status %+v", st)
	}
	near.SetReachable(farNet.self, true)
	near.awaitRoutes(t, 3000)
	near.SetReachable(addr("192.0.2.99"), false) // no such peer
}

func TestDrainMarksEverything(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	before := near.Status()[0].Established // 2 where connections collided
	far.Drain()
	far.Drain() // once more changes nothing
	waitFor(t, "preference 0", func() bool {
		near.Router.mu.Lock()
		defer near.Router.mu.Unlock()
		for _, e := range near.table.byPrefix {
			if e.best.pref != 0 {
				return false
			}
		}
		return true
	})
	if n := near.Status()[0].Established; n != before {
		t.Errorf("established %d times, want %d", n, before)
	}
}

func TestConfigureNetworksPeersAndPolicy(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	before := near.Status()[0].Established // 2 where connections collided

	farCfg.Networks = []config.Network{feed("20.0.0.0/8", 24, 10), {Prefix: prefix("203.0.113.0/24")}}
	reconfigure(t, far, farCfg)
	near.awaitRoutes(t, 11)

	nearCfg.Neighbors = slices.Clone(nearCfg.Neighbors)
	nearCfg.Neighbors[0].Import.Prefixes = []config.PrefixRule{{Prefix: prefix("20.0.0.0/8"), Ge: 24}}
	reconfigure(t, near, nearCfg)
	near.awaitRoutes(t, 10)
	if st := near.Status()[0]; st.Received != 10 || st.Established != before {
		t.Errorf("status %+v, want it established %d times", st, before)
	}

	farCfg.Neighbors = slices.Clone(farCfg.Neighbors)
	farCfg.Neighbors[0].Export.Prefixes = []config.PrefixRule{{Prefix: prefix("20.0.0.0/24")}}
	reconfigure(t, far, farCfg)
	near.awaitRoutes(t, 1)

	nearCfg.Neighbors = nil
	reconfigure(t, near, nearCfg)
	near.awaitRoutes(t, 0)
	far.awaitEvent(t, "told why", func(e PeerEvent) bool { return e.Reason == "received Cease/Peer De-configured" })

	nearCfg.Neighbors = []config.Neighbor{neighbor(farNet.self.String(), 65002)}
	reconfigure(t, near, nearCfg)
	near.awaitRoutes(t, 1)

	nearCfg.BGP.HoldTime *= 2
	reconfigure(t, near, nearCfg)
	far.awaitEvent(t, "told why", func(e PeerEvent) bool { return e.Reason == "received Cease/Other Configuration Change" })
	near.await(t, "the new hold time", func() bool { return len(near.fib) == 1 && near.Status()[0].HoldTime == 9 })
}

func reconfigure(t *testing.T, s *speakerUnderTest, cfg config.Config) {
	t.Helper()
	if err := s.Configure(cfg); err != nil {
		t.Fatal(err)
	}
}

func TestConfigureRefuses(t *testing.T) {
	ok := speaker(65001, "10.0.0.1", 179, neighbor("10.0.0.2", 65002))
	for want, change := range map[string]func(*config.Config){
		"AS number is missing":        func(c *config.Config) { c.ASN = 0 },
		"not an IPv4 address":         func(c *config.Config) { c.RouterID = addr("::1") },
		"configured twice":            func(c *config.Config) { c.Neighbors = append(c.Neighbors, c.Neighbors[0]) },
		"10.0.0.3: the AS number":     func(c *config.Config) { c.Neighbors = append(c.Neighbors, neighbor("10.0.0.3", 0)) },
		"fe80::1 cannot be a peer":    func(c *config.Config) { c.Neighbors = append(c.Neighbors, neighbor("fe80::1", 65003)) },
		"invalid IP cannot be a peer": func(c *config.Config) { c.Neighbors = append(c.Neighbors, config.Neighbor{ASN: 1}) },
	} {
		cfg := ok
		cfg.Neighbors = slices.Clone(ok.Neighbors)
		change(&cfg)
		if _, err := New(cfg, Deps{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}

func TestRunRefusesATakenPort(t *testing.T) {
	nearCfg, _, nearNet, _ := loopPair(t, nil)
	run(t, nearCfg, Deps{Net: nearNet}).awaitListening(t)
	second, err := New(nearCfg, Deps{Net: nearNet})
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

// Timers that no OPEN names are this end's own affair: the session stays.
func TestConfigureTimersWithoutAReset(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near := run(t, nearCfg, Deps{Net: nearNet})
	run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	before := near.Status()[0]
	nearCfg.BGP.ConnectRetry *= 2
	nearCfg.BGP.Keepalive = time.Second
	nearCfg.BGP.GracefulRestart.SelectionDeferral *= 2
	reconfigure(t, near, nearCfg)
	if st := near.Status()[0]; st.State != "Established" || st.Since != before.Since {
		t.Errorf("status %+v, was %+v", st, before)
	}
	near.Router.mu.Lock()
	defer near.Router.mu.Unlock()
	if got := near.peers[0].fsm.cfg; got.connectRetry != nearCfg.BGP.ConnectRetry || got.keepalive != time.Second {
		t.Errorf("the machine works by %+v", got)
	}
}

// A reload that comes while the sessions say goodbye must not start anything:
// Run would wait for it forever.
func TestConfigureAfterTheStopStartsNothing(t *testing.T) {
	cfg, _, network, _ := loopPair(t, nil)
	s := run(t, cfg, Deps{Net: network})
	s.awaitListening(t)
	s.Router.stop()
	cfg.Neighbors = append(slices.Clone(cfg.Neighbors), neighbor("127.0.250.250", 65003))
	reconfigure(t, s, cfg)
	s.Router.mu.Lock()
	defer s.Router.mu.Unlock()
	if len(s.listeners) > 0 || s.peers[1].fsm.started {
		t.Errorf("%d listeners, new peer started %v", len(s.listeners), s.peers[1].fsm.started)
	}
}

func (s *speakerUnderTest) awaitListening(t *testing.T) {
	t.Helper()
	waitFor(t, "listener", func() bool {
		s.Router.mu.Lock()
		defer s.Router.mu.Unlock()
		return s.ctx != nil
	})
}

// The dual-homed site: two gateways, each with an ISP, iBGP between them.
// Each gateway has its own ISP first and the other gateway behind.
func TestTwoGatewaysTwoISPs(t *testing.T) {
	port := freePort(t)
	at := func(i int) string { return fmt.Sprintf("127.0.251.%d", i) }
	network := func(i int) Deps { return Deps{Net: loopNet{addr(at(i))}} }
	inside := func(i int) config.Neighbor {
		n := neighbor(at(i), 65000)
		n.NextHopSelf, n.Interface = true, "ic"
		return n
	}
	gw1 := speaker(65000, "10.0.0.1", port, neighbor(at(11), 65101), inside(2))
	gw2 := speaker(65000, "10.0.0.2", port, neighbor(at(12), 65102), inside(1))
	isp1 := speaker(65101, "10.0.0.11", port, neighbor(at(1), 65000))
	isp2 := speaker(65102, "10.0.0.12", port, neighbor(at(2), 65000))
	isp1.Networks = []config.Network{feed("20.0.0.0/8", 24, 500)}
	isp2.Networks = isp1.Networks
	gw1.Networks = []config.Network{{Prefix: prefix("198.51.100.0/24")}}
	gw2.Networks = gw1.Networks
	s1, s2 := run(t, gw1, network(1)), run(t, gw2, network(2))
	u1, u2 := run(t, isp1, network(11)), run(t, isp2, network(12))

	group := func(own, other int) func(s *speakerUnderTest) bool {
		return func(s *speakerUnderTest) bool {
			for _, g := range s.fib {
				if len(g.Primary) != 1 || g.Primary[0].Addr != addr(at(own)) || len(g.Backup) != 1 || g.Backup[0].Addr != addr(at(other)) {
					return false
				}
			}
			return len(s.fib) == 500
		}
	}
	s1.await(t, "own ISP and backup", func() bool { return group(11, 2)(s1) })
	s2.await(t, "own ISP and backup", func() bool { return group(12, 1)(s2) })
	u1.awaitRoutes(t, 1)
	u2.awaitRoutes(t, 1)
	// The ISP leaves: everything moves to the other gateway, and what was its
	// backup is withdrawn there, for it comes from here.
	u1.stop()
	s1.await(t, "all by the other gateway", func() bool {
		for _, g := range s1.fib {
			if g.Primary[0].Addr != addr(at(2)) || g.Backup != nil {
				return false
			}
		}
		return len(s1.fib) == 500
	})
	s2.await(t, "no backup", func() bool {
		for _, g := range s2.fib {
			if g.Primary[0].Addr != addr(at(12)) || g.Backup != nil {
				return false
			}
		}
		return true
	})
}

func TestEmitterCoalescesAndKeepsOrder(t *testing.T) {
	var got []string
	e := newEmitter(Deps{
		Updates: func(u Update) {
			var s []string
			for p := range u.Set {
				s = append(s, fmt.Sprint("+", p.String()))
			}
			for _, p := range u.Delete {
				s = append(s, fmt.Sprint("-", p))
			}
			slices.Sort(s)
			if u.At == 0 {
				t.Error("no instant")
			}
			got = append(got, strings.Join(s, " "))
		},
		Peers: func(ev PeerEvent) { got = append(got, ev.Name) },
	})
	one, two := &group{}, &group{}
	a, b := prefix("10.0.0.0/8"), prefix("11.0.0.0/8")
	e.set(a, one)
	e.set(b, one)
	e.set(a, nil)
	e.event(PeerEvent{Name: "synced"})
	e.set(a, two)
	e.set(b, nil)
	e.set(b, two)
	e.deliver()
	want := []string{"+11.0.0.0/8 -10.0.0.0/8", "synced", "+10.0.0.0/8 +11.0.0.0/8"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	var none emitter
	none.deliver()
	newEmitter(Deps{}).event(PeerEvent{})
}

func TestUpdatesAreInOrderForASlowReader(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	busy := make(chan struct{})
	fib := map[netip.Prefix]bool{}
	batches, done := 0, make(chan struct{})
	r, err := New(nearCfg, Deps{Net: nearNet, Updates: func(u Update) {
		if batches++; batches == 1 {
			<-busy
		}
		for p := range u.Set {
			fib[p] = true
		}
		for _, p := range u.Delete {
			delete(fib, p)
		}
		if len(fib) == 1000 && batches > 1 {
			close(done)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { stopped <- r.Run(ctx) }()
	far := run(t, farCfg, Deps{Net: farNet})
	waitFor(t, "everything received", func() bool { return r.Status()[0].Received == 3000 })
	farCfg.Networks[0].Count = 1000
	reconfigure(t, far, farCfg)
	waitFor(t, "most withdrawn", func() bool { return r.Status()[0].Received == 1000 })
	close(busy)
	<-done
	cancel()
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if batches > 3 { // the first, then all that End-of-RIB divides
		t.Errorf("%d batches, want them to have collected", batches)
	}
}

// Both ends dial at the same instant, over and over: collisions must settle
// on one connection without waiting for a retry.
func TestRFC4271_6_8_SimultaneousStart(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, func(near, far *config.Config) {
		far.Networks = far.Networks[:0]
	})
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	in := func(s *speakerUnderTest, state string) func() bool {
		return func() bool { return s.Status()[0].State == state }
	}
	for range 50 {
		waitFor(t, "up", in(near, "Established"))
		waitFor(t, "up", in(far, "Established"))
		near.SetReachable(farNet.self, false)
		far.SetReachable(nearNet.self, false)
		go far.SetReachable(nearNet.self, true)
		near.SetReachable(farNet.self, true)
	}
}
