package bgp

import (
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gwlab/gateway/config"
	"gwlab/gateway/state"
)

// pairing is a speaker under test and a real daemon on one cable.
type pairing struct {
	near *space
	far  daemon
	cfg  config.Config
}

// pair builds the cable and both configurations; tell changes ours.
func pair(t *testing.T, kind func(*space, farConfig) daemon, c farConfig, tell func(*config.Config)) *pairing {
	t.Helper()
	near, far := newSpace(t, "near"), newSpace(t, "far")
	near.connect("up0", far, "eth0", nearAddrs, farAddrs)
	c.Dir = openDir(t)
	cfg := speaker(65001, "10.9.0.1", 179, neighbor("10.9.0.2", 65002), neighbor("fd09::2", 65002))
	for i := range cfg.Neighbors {
		n := &cfg.Neighbors[i]
		n.Interface, n.Password, n.TTLSecurity = "up0", c.Password, c.GTSM
	}
	cfg.BGP.GracefulRestart.Off = !c.GR
	cfg.Networks = []config.Network{{Prefix: prefix("198.51.100.0/24")}, {Prefix: prefix("2001:db8:1::/48")}}
	if tell != nil {
		tell(&cfg)
	}
	return &pairing{near: near, far: kind(far, c), cfg: cfg}
}

func (p *pairing) run(t *testing.T) *speakerUnderTest {
	t.Helper()
	return run(t, p.cfg, Deps{Net: spaceNet{p.near.handle}})
}

// eachDaemon runs a test against all implementations.
func eachDaemon(t *testing.T, f func(*testing.T, func(*space, farConfig) daemon)) {
	needRoot(t)
	t.Parallel()
	kinds := daemonKinds()
	for _, name := range []string{"frr", "bird", "gobgp"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			f(t, kinds[name])
		})
	}
}

func TestInteropRoutesBothWaysAndPeerKilled(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{}, nil)
		p.far.start()
		s := p.run(t)
		s.awaitRoutes(t, 3)
		want := map[netip.Prefix]netip.Addr{prefix("203.0.113.0/24"): addr("10.9.0.2"), prefix("192.0.2.0/24"): addr("10.9.0.2"), prefix("2001:db8:2::/48"): addr("fd09::2")}
		for pfx, hop := range want {
			if got := s.Routes()[pfx].Primary; !slices.Equal(got, []state.NextHop{{Addr: hop, Interface: "up0"}}) {
				t.Errorf("%s via %v, want %s", pfx, got, hop)
			}
		}
		awaitLearned(t, p.far, "198.51.100.0/24", "2001:db8:1::/48")
		p.far.kill()
		s.awaitRoutes(t, 0)
		s.awaitEvent(t, "down", func(e PeerEvent) bool { return isDown(e) && !e.Stale })
		p.far.start()
		s.awaitRoutes(t, 3)
		awaitLearned(t, p.far, "198.51.100.0/24", "2001:db8:1::/48")
	})
}

// RFC 2385 and RFC 5082 together: with both ends set the session comes up.
func TestInteropMD5AndGTSM(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{Password: "sesame", GTSM: true}, nil)
		p.far.start()
		s := p.run(t)
		s.awaitRoutes(t, 3)
		awaitLearned(t, p.far, "198.51.100.0/24", "2001:db8:1::/48")
	})
}

// Passive, so that the listener's key and TTL are what is tested.
func TestInteropMD5AndGTSMInbound(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{Password: "sesame", GTSM: true}, func(c *config.Config) {
			for i := range c.Neighbors {
				c.Neighbors[i].Passive = true
			}
		})
		s := p.run(t)
		p.far.start()
		s.awaitRoutes(t, 3)
	})
}

// RFC 4486 §3: one prefix too many ends the session and keeps it down.
func TestInteropMaxPrefix(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{}, func(c *config.Config) { c.Neighbors[0].MaxPrefixes = 1 })
		p.far.start()
		s := p.run(t)
		s.awaitEvent(t, "limit", func(e PeerEvent) bool {
			return e.Peer == addr("10.9.0.2") && e.Reason == "sent Cease/Maximum Number of Prefixes Reached"
		})
		s.awaitRoutes(t, 1) // IPv6 is another session
		if st := s.Status()[0]; st.Established != 1 || st.State == "Established" {
			t.Errorf("after the limit: %+v", st)
		}
	})
}

// Policy alone re-evaluates what was received, without a reset.
func TestInteropPolicyChange(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{}, func(c *config.Config) {
			c.Neighbors[0].Import.Prefixes = []config.PrefixRule{}
			c.Neighbors[1].Export.Prefixes = []config.PrefixRule{}
		})
		p.far.start()
		s := p.run(t)
		s.await(t, "both synced", func() bool { return count(s.events, isUp) == 2 && len(s.fib) == 1 })
		awaitLearned(t, p.far, "198.51.100.0/24")
		cfg := p.cfg
		cfg.Neighbors = slices.Clone(cfg.Neighbors)
		cfg.Neighbors[0].Import.Prefixes, cfg.Neighbors[1].Export.Prefixes = nil, nil
		cfg.Neighbors[0].Export.Prefixes = []config.PrefixRule{}
		if err := s.Configure(cfg); err != nil {
			t.Fatal(err)
		}
		s.awaitRoutes(t, 3)
		awaitLearned(t, p.far, "2001:db8:1::/48")
		if n := s.Status()[0].Established; n != 1 {
			t.Errorf("established %d times, want 1", n)
		}
	})
}

// RFC 4724 §4.2: the peer's process dies, its routes stay while it restarts.
func TestInteropGracefulRestartOfPeer(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{GR: true}, nil)
		p.far.start()
		s := p.run(t)
		s.awaitRoutes(t, 3)
		s.await(t, "both synced", func() bool { return count(s.events, isSynced) == 2 })
		p.far.kill()
		s.await(t, "both stale", func() bool {
			return count(s.events, func(e PeerEvent) bool { return isDown(e) && e.Stale }) == 2
		})
		if n := len(s.Routes()); n != 5 {
			t.Errorf("%d routes while the peer restarts, want 5", n)
		}
		p.far.start()
		s.await(t, "both synced again", func() bool { return count(s.events, isSynced) == 4 })
		s.awaitRoutes(t, 3)
	})
}

func count(events []PeerEvent, match func(PeerEvent) bool) (n int) {
	for _, e := range events {
		if match(e) {
			n++
		}
	}
	return n
}

// RFC 8326, both directions: ours marks what it announces; theirs makes a
// path the last choice.
func TestInteropGracefulShutdown(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{GSHUT: true}, nil)
		p.far.start()
		s := p.run(t)
		s.awaitRoutes(t, 3)
		s.Drain()
		awaitMarked(t, p.far)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.Router.mu.Lock()
		defer s.Router.mu.Unlock()
		for pfx := range s.fib {
			if pref := s.table.byPrefix[pfx].best.pref; pref != 0 {
				t.Errorf("%s has local preference %d, want 0", pfx, pref)
			}
		}
	})
}

// awaitMarked waits until the daemon shows GRACEFUL_SHUTDOWN on our network.
func awaitMarked(t *testing.T, d daemon) {
	t.Helper()
	var shows func() (string, error)
	mark := "(65535,0)"
	switch v := d.(type) {
	case *bird:
		shows = func() (string, error) {
			return v.space.output("birdc", "-s", filepath.Join(v.dir, "bird.ctl"), "show", "route", "198.51.100.0/24", "all")
		}
	case *frr:
		mark = "graceful-shutdown"
		shows = func() (string, error) {
			return v.space.output("vtysh", "--vty_socket", v.dir, "-c", "show bgp ipv4 unicast 198.51.100.0/24")
		}
	default:
		return // the reference peer lists prefixes only
	}
	waitFor(t, "the mark", func() bool {
		out, err := shows()
		return err == nil && strings.Contains(out, mark)
	})
}

// A blackhole without BFD: the hold timer finds it.
func TestInteropHoldTimer(t *testing.T) {
	needRoot(t)
	t.Parallel()
	p := pair(t, newBIRD, farConfig{}, func(c *config.Config) { c.BGP.HoldTime = 3 * time.Second })
	p.far.start()
	s := p.run(t)
	s.awaitRoutes(t, 3)
	if out, err := p.near.output("nft", "add table netdev hole; add chain netdev hole in { type filter hook ingress device up0 priority 0; policy drop; }"); err != nil {
		t.Fatalf("nft: %v: %s", err, out)
	}
	s.awaitEvent(t, "hold timer", func(e PeerEvent) bool { return isDown(e) && e.Reason == "sent Hold Timer Expired" })
	s.awaitRoutes(t, 0)
}

// Peers, a family, keys and TTL that come while the speaker runs.
func TestInteropPeersAddedAtRuntime(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{Password: "sesame", GTSM: true}, nil)
		full := p.cfg
		p.cfg.Neighbors = slices.Clone(full.Neighbors[:1])
		p.cfg.Neighbors[0].Password = "wrong"
		s := p.run(t)
		p.far.start()
		reconfigure(t, s, full)
		s.awaitRoutes(t, 3)
		awaitLearned(t, p.far, "198.51.100.0/24", "2001:db8:1::/48")
	})
}

// RFC 4724 §4.1: this speaker dies and comes back; the peer never withdraws
// what it learned.
func TestInteropGracefulRestartOfOurs(t *testing.T) {
	eachDaemon(t, func(t *testing.T, kind func(*space, farConfig) daemon) {
		p := pair(t, kind, farConfig{GR: true}, nil)
		p.far.start()
		s := p.run(t)
		s.awaitRoutes(t, 3)
		awaitLearned(t, p.far, "198.51.100.0/24", "2001:db8:1::/48")
		s.await(t, "both synced", func() bool { return count(s.events, isSynced) == 2 })
		s.crash()
		if got := p.far.learned(); len(got) != 2 {
			t.Errorf("the peer kept %v while we restart", got)
		}
		p.cfg.Networks = p.cfg.Networks[:1]
		again := run(t, p.cfg, Deps{Net: spaceNet{p.near.handle}, Restarting: true})
		again.awaitRoutes(t, 3)
		awaitLearned(t, p.far, "198.51.100.0/24") // the other was swept at our End-of-RIB
	})
}

// Without the key, or from further away, there is no session.
func TestMD5AndGTSMKeepOthersOut(t *testing.T) {
	needRoot(t)
	for name, change := range map[string]func(*config.Config){
		"wrong key": func(c *config.Config) { c.Neighbors[0].Password = "another" },
		"no key":    func(c *config.Config) { c.Neighbors[0].Password = "" },
	} {
		t.Run(name, func(t *testing.T) {
			p := pair(t, newBIRD, farConfig{Password: "sesame"}, func(c *config.Config) { change(c) })
			p.far.start()
			s := p.run(t)
			s.awaitRoutes(t, 1) // IPv6 has the right key
			if st := s.Status()[0]; st.Established != 0 {
				t.Errorf("status %+v", st)
			}
		})
	}
	t.Run("TTL", func(t *testing.T) {
		p := pair(t, newBIRD, farConfig{}, func(c *config.Config) { c.Neighbors[0].TTLSecurity = true })
		p.far.start()
		s := p.run(t)
		s.awaitRoutes(t, 1)
		if st := s.Status()[0]; st.Established != 0 {
			t.Errorf("status %+v", st)
		}
	})
}
