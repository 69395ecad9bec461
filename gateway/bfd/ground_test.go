package bfd

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// pollEvery is how often a test looks at what gives no event.
const pollEvery = 2 * time.Millisecond

// ground is two namespaces with one cable:
//
//	a (up0: 198.18.7.1, fd00:7::1) ── (up0: 198.18.7.2, fd00:7::2) b
type ground struct{ a, b string }

var (
	addrA4, addrB4 = netip.MustParseAddr("198.18.7.1"), netip.MustParseAddr("198.18.7.2")
	addrA6, addrB6 = netip.MustParseAddr("fd00:7::1"), netip.MustParseAddr("fd00:7::2")
)

var grounds atomic.Int64 // makes namespace names unique in this process

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("not root, and GWLAB_REQUIRE_ROOT=1 forbids to skip")
	}
	t.Skip("needs root: makes network namespaces")
}

func newGround(t testing.TB) ground {
	t.Helper()
	needRoot(t)
	prefix := fmt.Sprintf("gwt-bfd-%d-%d", os.Getpid(), grounds.Add(1))
	g := ground{a: prefix + "a", b: prefix + "b"}
	for _, ns := range []string{g.a, g.b} {
		run(t, "", "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "", "ip", "netns", "del", ns) })
	}
	g.addCable(t)
	return g
}

func (g ground) addCable(t testing.TB) {
	t.Helper()
	run(t, "", "ip", "-n", g.a, "link", "add", "up0", "index", "101", "type", "veth",
		"peer", "name", "up0", "index", "102", "netns", g.b)
	for ns, addrs := range map[string][]netip.Addr{g.a: {addrA4, addrA6}, g.b: {addrB4, addrB6}} {
		run(t, "", "ip", "-n", ns, "addr", "add", addrs[0].String()+"/30", "dev", "up0")
		run(t, "", "ip", "-n", ns, "addr", "add", addrs[1].String()+"/64", "dev", "up0", "nodad")
		run(t, "", "ip", "-n", ns, "link", "set", "up0", "up")
	}
}

// run runs a command to its end with stdin.
func run(t testing.TB, stdin string, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// deafen makes a namespace drop all it receives on up0, carrier untouched, and
// returns the instant it was so.
func deafen(t testing.TB, ns string) int64 {
	t.Helper()
	run(t, `table netdev deaf { chain in { type filter hook ingress device "up0" priority 0; policy drop; }; }`,
		"ip", "netns", "exec", ns, "nft", "-f", "-")
	return monotime.Now()
}

func undeafen(t testing.TB, ns string) {
	t.Helper()
	run(t, "", "ip", "netns", "exec", ns, "nft", "delete", "table", "netdev", "deaf")
}

// service is what Engine and Isolated have in common.
type service interface {
	Service
	RealTime() bool
	Stray() uint64
}

func newEngine(deps Deps) (service, error)   { return New(deps) }
func newIsolated(deps Deps) (service, error) { return NewIsolated(deps) }

// side is a service at work in a namespace.
type side struct {
	service
	changes chan Change
	lag     atomic.Int64 // ns from the latest change to its callback
	ended   chan error
	stop    func() // ends Run and waits
}

func start(t testing.TB, ns string) *side {
	t.Helper()
	return startAs(t, ns, newEngine)
}

func startAs(t testing.TB, ns string, build func(Deps) (service, error)) *side {
	t.Helper()
	s := &side{changes: make(chan Change, 4096), ended: make(chan error, 1)}
	var err error
	s.service, err = build(Deps{
		Changes: func(c Change) {
			s.lag.Store(monotime.Now() - c.At)
			select {
			case s.changes <- c:
			default:
			}
		},
		Enter: func() error { return enter(ns) },
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() { s.ended <- s.Run(ctx) }()
	s.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-s.ended; err != nil {
			t.Errorf("engine in %s: %v", ns, err)
		}
	})
	t.Cleanup(s.stop)
	until(t, "the engine to run", func() bool { return s.Status() != nil })
	return s
}

func enter(ns string) error {
	fd, err := unix.Open("/run/netns/"+ns, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open namespace %s: %w", ns, err)
	}
	defer unix.Close(fd)
	return unix.Setns(fd, unix.CLONE_NEWNET)
}

// await returns the next change that leads to state on a session with peer.
func (s *side) await(t testing.TB, peer netip.Addr, state State) Change {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case c := <-s.changes:
			if c.State == state && c.Key.Peer == peer {
				return c
			}
		case <-deadline:
			t.Fatalf("session with %v did not become %v; status: %+v", peer, state, s.Status())
		}
	}
}

func (s *side) status(t testing.TB, peer netip.Addr) Status {
	t.Helper()
	for _, st := range s.Status() {
		if st.Key.Peer == peer {
			return st
		}
	}
	t.Fatalf("no session with %v", peer)
	return Status{}
}

// until polls for a condition that no event tells.
func until(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !cond(); {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
		time.Sleep(pollEvery)
	}
}

func key4(local, peer netip.Addr) Key { return Key{Interface: "up0", Local: local, Peer: peer} }

func params(interval time.Duration) Params { return Params{Interval: interval, Multiplier: 3} }

// bothUp starts an engine on each side with one IPv4 session and waits for Up.
func bothUp(t testing.TB, g ground, p Params) (a, b *side) {
	t.Helper()
	return bothUpAs(t, g, p, newEngine)
}

func bothUpAs(t testing.TB, g ground, p Params, build func(Deps) (service, error)) (a, b *side) {
	t.Helper()
	a, b = startAs(t, g.a, build), startAs(t, g.b, build)
	began := monotime.Now()
	a.Set(map[Key]Params{key4(addrA4, addrB4): p})
	b.Set(map[Key]Params{key4(addrB4, addrA4): p})
	upA, upB := a.await(t, addrB4, Up), b.await(t, addrA4, Up)
	t.Logf("up after %v and %v", time.Duration(upA.At-began), time.Duration(upB.At-began))
	until(t, "the fast interval on both sides", func() bool {
		return a.status(t, addrB4).RxInterval == p.Interval && b.status(t, addrA4).RxInterval == p.Interval &&
			a.status(t, addrB4).TxInterval == p.Interval && b.status(t, addrA4).TxInterval == p.Interval
	})
	return a, b
}

// lockForever ties the goroutine to a thread that ends with it.
func lockForever() { runtime.LockOSThread() }
