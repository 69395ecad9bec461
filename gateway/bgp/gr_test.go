package bgp

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"gwlab/gateway/config"
)

// crash ends a speaker like SIGKILL: its connections close without a word.
func (s *speakerUnderTest) crash() {
	s.Router.mu.Lock()
	for _, l := range s.listeners {
		l.close()
	}
	for _, p := range s.peers {
		for id, c := range p.links {
			delete(p.links, id)
			c.close(nil)
		}
	}
	s.Router.mu.Unlock()
	s.stop()
}

// loopPair is two speakers on loopback addresses: helper and its peer.
func loopPair(t *testing.T, change func(near, far *config.Config)) (near, far config.Config, netNear, netFar loopNet) {
	t.Helper()
	port, n := freePort(t), byte(numbers.Add(1)%250+1)
	netNear, netFar = loopNet{netip.AddrFrom4([4]byte{127, 0, n, 1})}, loopNet{netip.AddrFrom4([4]byte{127, 0, n, 2})}
	near = speaker(65001, "10.0.0.1", port, neighbor(netFar.self.String(), 65002))
	far = speaker(65002, "10.0.0.2", port, neighbor(netNear.self.String(), 65001))
	far.Networks = []config.Network{feed("20.0.0.0/8", 24, 3000)}
	if change != nil {
		change(&near, &far)
	}
	return near, far, netNear, netFar
}

func TestRFC4724_4_2_HelperKeepsRoutesThenSweepsTheGone(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	near.awaitEvent(t, "synced", isSynced)
	far.crash()
	near.awaitEvent(t, "stale", func(e PeerEvent) bool { return isDown(e) && e.Stale })
	if st := near.Status()[0]; !st.Restarting || st.Received != 3000 || len(near.Routes()) != 3000 {
		t.Fatalf("while it restarts: %+v", st)
	}
	farCfg.Networks[0].Count = 1000 // two thirds are gone after the restart
	run(t, farCfg, Deps{Net: farNet, Restarting: true})
	near.awaitRoutes(t, 1000)
	near.await(t, "synced again", func() bool { return count(near.events, isSynced) == 2 })
	if st := near.Status()[0]; st.Restarting || st.Received != 1000 {
		t.Errorf("afterwards: %+v", st)
	}
	for _, e := range near.events {
		if isDown(e) && !e.Stale {
			t.Errorf("routes were dropped: %+v", e)
		}
	}
}

// Without the F bit nothing was preserved: stale routes go at once.
func TestRFC4724_4_2_RoutesNotPreservedAreRemovedAtOnce(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	far.crash()
	near.awaitEvent(t, "stale", func(e PeerEvent) bool { return e.Stale })
	farCfg.Networks = nil
	run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 0)
}

func TestRFC4724_4_2_RestartTimeExpires(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, func(_, far *config.Config) {
		far.BGP.GracefulRestart.RestartTime = time.Second
	})
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	far.crash()
	near.awaitEvent(t, "the end of its routes", func(e PeerEvent) bool {
		return isDown(e) && !e.Stale && e.Reason == "restart time expired"
	})
	near.awaitRoutes(t, 0)
	if st := near.Status()[0]; st.Restarting {
		t.Errorf("still %+v", st)
	}
}

func TestRFC4724_4_2_NotificationKeepsNothing(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	far.stop()
	near.awaitEvent(t, "down", func(e PeerEvent) bool {
		return isDown(e) && !e.Stale && e.Reason == "received Cease/Administrative Shutdown"
	})
	near.awaitRoutes(t, 0)
}

func TestUnreachableEndsTheStaleTime(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	near, far := run(t, nearCfg, Deps{Net: nearNet}), run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	far.crash()
	near.awaitEvent(t, "stale", func(e PeerEvent) bool { return e.Stale })
	near.SetReachable(farNet.self, false)
	near.awaitRoutes(t, 0)
}

// RFC 4724 §4.1: a restarted speaker tells End-of-RIB only after its peers.
func TestRFC4724_4_1_RestartedSpeakerDefersEndOfRIB(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, func(near, _ *config.Config) {
		// A second peer that never comes keeps the deferral open.
		near.Neighbors = append(near.Neighbors, neighbor("127.0.250.250", 65003))
		near.BGP.GracefulRestart.SelectionDeferral = 700 * time.Millisecond
	})
	far := run(t, farCfg, Deps{Net: farNet})
	near := run(t, nearCfg, Deps{Net: nearNet, Restarting: true})
	near.awaitRoutes(t, 3000)
	near.awaitEvent(t, "their End-of-RIB", isSynced)
	near.Router.mu.Lock()
	deferring := near.deferring
	near.Router.mu.Unlock()
	if !deferring {
		t.Error("the deferral ended although a peer is missing")
	}
	far.awaitEvent(t, "our End-of-RIB", isSynced)
	far.Router.mu.Lock()
	restarting := far.peers[0].open.restarting
	far.Router.mu.Unlock()
	if !restarting {
		t.Error("the R bit was not set")
	}
}

func TestRFC4724_4_1_DeferralEndsWithTheLastPeer(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	far := run(t, farCfg, Deps{Net: farNet})
	near := run(t, nearCfg, Deps{Net: nearNet, Restarting: true})
	near.awaitEvent(t, "their End-of-RIB", isSynced)
	far.awaitEvent(t, "our End-of-RIB", isSynced)
}

func TestRFC4724_4_1_DeferralDoesNotWaitForARemovedPeer(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, nil)
	short := nearCfg
	nearCfg.Neighbors = append(slices.Clone(nearCfg.Neighbors), neighbor("127.0.250.250", 65003))
	far := run(t, farCfg, Deps{Net: farNet})
	near := run(t, nearCfg, Deps{Net: nearNet, Restarting: true})
	near.awaitEvent(t, "their End-of-RIB", isSynced)
	reconfigure(t, near, short)
	far.awaitEvent(t, "our End-of-RIB", isSynced)
}

// A peer without graceful restart sends no marker it has promised: its next
// keepalive stands in.
func TestPeerWithoutGracefulRestartIsSynced(t *testing.T) {
	nearCfg, farCfg, nearNet, farNet := loopPair(t, func(_, far *config.Config) {
		far.BGP.GracefulRestart.Off = true
		far.BGP.Keepalive = 50 * time.Millisecond
	})
	near := run(t, nearCfg, Deps{Net: nearNet})
	run(t, farCfg, Deps{Net: farNet})
	near.awaitRoutes(t, 3000)
	near.awaitEvent(t, "synced", isSynced)
}
