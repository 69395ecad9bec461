package gateway

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// fake is every part of a daemon at once, and the record of what was asked of it.
type fake struct {
	mu     sync.Mutex
	calls  []string
	peers  []bgp.PeerStatus
	bfd    []bfd.Status
	refuse error         // of Configure
	fail   chan error    // ends the agent
	ran    chan struct{} // closed when the agent runs
}

func newFake() *fake { return &fake{fail: make(chan error, 1), ran: make(chan struct{})} }

func (f *fake) called(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
}

func (f *fake) recorded() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *fake) parts() parts {
	return parts{speaker: fakeSpeaker{f}, bfd: fakeBFD{f}, fib: fakeFIB{f}, agent: fakeAgent{f}, close: func() { f.called("close") }}
}

type fakeSpeaker struct{ f *fake }

func (s fakeSpeaker) Run(ctx context.Context) error {
	<-ctx.Done()
	s.f.called("bgp ended")
	return nil
}
func (s fakeSpeaker) Configure(config.Config) error           { return nil }
func (s fakeSpeaker) SetReachable(netip.Addr, bool)           {}
func (s fakeSpeaker) Programmed(map[netip.Prefix]state.Group) {}
func (s fakeSpeaker) Drain()                                  { s.f.called("drain") }
func (s fakeSpeaker) Status() []bgp.PeerStatus {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	return s.f.peers
}
func (s fakeSpeaker) Routes() map[netip.Prefix]state.Group {
	nh := func(a, i string) state.NextHop { return state.NextHop{Addr: netip.MustParseAddr(a), Interface: i} }
	return map[netip.Prefix]state.Group{
		netip.MustParsePrefix("203.0.113.0/24"): {Primary: []state.NextHop{nh("192.0.2.1", "up1")}, Backup: []state.NextHop{nh("192.0.2.5", "up2")}},
		netip.MustParsePrefix("0.0.0.0/0"):      {Primary: []state.NextHop{nh("192.0.2.1", "up1"), nh("192.0.2.5", "up2")}},
		netip.MustParsePrefix("2001:db8::/32"):  {Primary: []state.NextHop{nh("2001:db8::1", "up1")}},
		netip.MustParsePrefix("203.0.113.0/25"): {Primary: []state.NextHop{nh("192.0.2.5", "up2")}},
	}
}

type fakeBFD struct{ f *fake }

func (b fakeBFD) Set(map[bfd.Key]bfd.Params) {}
func (b fakeBFD) Run(ctx context.Context) error {
	<-ctx.Done()
	b.f.called("bfd ended")
	return ctx.Err()
}
func (b fakeBFD) Status() []bfd.Status { b.f.mu.Lock(); defer b.f.mu.Unlock(); return b.f.bfd }
func (b fakeBFD) RealTime() bool       { return true }

type fakeFIB struct{ f *fake }

var _ kernel.FIB = fakeFIB{}

func (k fakeFIB) Adopt() error                                  { return nil }
func (k fakeFIB) Set(state.State) (kernel.Applied, error)       { return kernel.Applied{}, nil }
func (k fakeFIB) Fail(state.NextHop) (kernel.Applied, error)    { return kernel.Applied{}, nil }
func (k fakeFIB) Restore(state.NextHop) (kernel.Applied, error) { return kernel.Applied{}, nil }
func (k fakeFIB) Sweep() (int, error)                           { return 0, nil }
func (k fakeFIB) Audit() ([]string, error)                      { return nil, nil }
func (k fakeFIB) CleanUp() error                                { k.f.called("clean up"); return nil }
func (k fakeFIB) Dump() (string, error)                         { return "desired\nkernel\n", nil }
func (k fakeFIB) Close() error                                  { return nil }
func (k fakeFIB) Update(map[netip.Prefix]state.Group, []netip.Prefix) (kernel.Applied, error) {
	return kernel.Applied{}, nil
}

type fakeAgent struct{ f *fake }

func (a fakeAgent) Run(ctx context.Context) error {
	close(a.f.ran)
	select {
	case <-ctx.Done():
		a.f.called("agent ended")
		return nil
	case err := <-a.f.fail:
		return err
	}
}
func (a fakeAgent) Configure(c config.Config) error {
	a.f.called("configure " + c.Neighbors[0].Name)
	return a.f.refuse
}
func (a fakeAgent) Routes() int      { return 4 }
func (a fakeAgent) Programmed() bool { return true }

// testConfig has one neighbor and keeps everything in the test's folder.
func testConfig(t *testing.T) config.Config {
	t.Helper()
	c := config.Default()
	c.ASN, c.RouterID = 64500, netip.MustParseAddr("198.51.100.1")
	c.Socket, c.StateDir, c.Drain = t.TempDir()+"/gw.sock", t.TempDir(), time.Millisecond
	c.Neighbors = []config.Neighbor{{Name: "isp1", Address: netip.MustParseAddr("192.0.2.1"), Interface: "up1", ASN: 64511,
		BFD: config.BFD{Interval: 50 * time.Millisecond, Multiplier: 3}}}
	return c
}

// running is a daemon made of fakes.
type running struct {
	*fake
	d    *Daemon
	stop context.CancelFunc
	done chan error
	once sync.Once
	err  error
}

// wait returns how Run ended.
func (r *running) wait() error {
	r.once.Do(func() { r.err = <-r.done })
	return r.err
}

func startFake(t *testing.T, cfg config.Config, deps Deps) *running {
	t.Helper()
	f := newFake()
	deps.capable = func(config.Config) error { return nil }
	deps.free = func(context.Context, config.Config) error { return nil }
	deps.build = func(_ config.Config, _ *Daemon, restarting bool) (parts, error) {
		if restarting {
			f.called("restarting")
		}
		return f.parts(), nil
	}
	ctx, stop := context.WithCancel(t.Context())
	r := &running{fake: f, d: New(cfg, deps), stop: stop, done: make(chan error, 1)}
	go func() { r.done <- r.d.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		_ = r.wait()
	})
	select {
	case <-f.ran:
	case err := <-r.done:
		r.done <- err
	}
	return r
}

var errBroken = errors.New("broken")
