package bgp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"gwlab/gateway/config"
	"gwlab/gateway/state"
)

// loopNet lets several speakers share a host without privileges: each has
// one address of 127.0.0.0/8, and all share one port.
type loopNet struct{ self netip.Addr }

func (n loopNet) Listen(ctx context.Context, network, address string, control func(int) error) (net.Listener, error) {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	return HostNet().Listen(ctx, network, net.JoinHostPort(n.self.String(), port), control)
}

func (n loopNet) Dial(ctx context.Context, _ netip.Addr, remote netip.AddrPort, control func(int) error) (net.Conn, error) {
	return HostNet().Dial(ctx, n.self, remote, control)
}

func (n loopNet) Subnet(netip.Addr) (netip.Prefix, error) {
	return netip.PrefixFrom(n.self, 8).Masked(), nil
}

// freePort finds a port that no speaker of this test host listens on.
func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// speakerUnderTest is a running Router with what it told.
type speakerUnderTest struct {
	*Router
	stop func()

	mu     sync.Mutex
	fib    map[netip.Prefix]state.Group
	events []PeerEvent
	change chan struct{}
}

func (s *speakerUnderTest) update(u Update) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, g := range u.Set {
		s.fib[p] = g
	}
	for _, p := range u.Delete {
		delete(s.fib, p)
	}
	s.changed()
}

func (s *speakerUnderTest) peerEvent(e PeerEvent) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events = append(s.events, e)
	s.changed()
}

func (s *speakerUnderTest) changed() {
	close(s.change)
	s.change = make(chan struct{})
}

// await waits for a condition, looked at after every event.
func (s *speakerUnderTest) await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	limit := time.After(10 * time.Second)
	for {
		s.mu.Lock()
		ok, change := cond(), s.change
		s.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-change:
		case <-limit:
			s.mu.Lock()
			defer s.mu.Unlock()
			t.Fatalf("%s: not within 10 s; status %+v, %d routes, events %+v", what, s.Status(), len(s.fib), s.events)
		}
	}
}

func (s *speakerUnderTest) awaitRoutes(t testing.TB, n int) {
	t.Helper()
	s.await(t, "routes", func() bool { return len(s.fib) == n })
}

func (s *speakerUnderTest) awaitEvent(t testing.TB, what string, match func(PeerEvent) bool) {
	t.Helper()
	s.await(t, what, func() bool {
		for _, e := range s.events {
			if match(e) {
				return true
			}
		}
		return false
	})
}

func isUp(e PeerEvent) bool     { return e.Up && !e.Synced }
func isDown(e PeerEvent) bool   { return !e.Up }
func isSynced(e PeerEvent) bool { return e.Synced }

// run starts a speaker and stops it with the test.
func run(t testing.TB, cfg config.Config, deps Deps) *speakerUnderTest {
	t.Helper()
	s := &speakerUnderTest{fib: map[netip.Prefix]state.Group{}, change: make(chan struct{})}
	deps.Updates, deps.Peers = s.update, s.peerEvent
	r, err := New(cfg, deps)
	if err != nil {
		t.Fatal(err)
	}
	s.Router = r
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	t.Cleanup(s.stop)
	return s
}

func addr(s string) netip.Addr     { return netip.MustParseAddr(s) }
func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// speaker builds a configuration with the defaults of package config.
func speaker(asn uint32, id string, port int, neighbors ...config.Neighbor) config.Config {
	return config.Config{
		ASN: asn, RouterID: addr(id), Neighbors: neighbors,
		BGP: config.BGP{
			Port: port, HoldTime: 9 * time.Second, ConnectRetry: 200 * time.Millisecond, Multipath: 8,
			GracefulRestart: config.GracefulRestart{RestartTime: 30 * time.Second, SelectionDeferral: 30 * time.Second},
		},
	}
}

func neighbor(address string, asn uint32) config.Neighbor {
	return config.Neighbor{Address: addr(address), ASN: asn, Interface: "lo"}
}

func feed(p string, length, count int) config.Network {
	return config.Network{Prefix: prefix(p), Length: length, Count: count}
}
