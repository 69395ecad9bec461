package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gwlab/gateway/bfd"
	"gwlab/gateway/bgp"
	"gwlab/gateway/config"
	"gwlab/gateway/event"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// journal records what an agent does to its siblings, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
	news  chan struct{}
}

func newJournal() *journal { return &journal{news: make(chan struct{}, 1)} }

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
	signal(j.news)
}

// take returns what was noted since the last take.
func (j *journal) take() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) Emit(e event.Event) {
	keys := slices.Sorted(maps.Keys(e.Data))
	var data []string
	for _, k := range keys {
		if k != "took_ns" {
			data = append(data, k+"="+e.Data[k])
		}
	}
	j.note("event %s %s [%s]", e.Kind, e.Key, strings.Join(data, " "))
}

type fakeSpeaker struct {
	*journal
	refuse error
	busy   chan struct{} // SetReachable waits for it if not nil
}

func (s *fakeSpeaker) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (s *fakeSpeaker) Configure(c config.Config) error {
	s.note("bgp configure %d", len(c.Neighbors))
	return s.refuse
}
func (s *fakeSpeaker) SetReachable(p netip.Addr, ok bool) {
	if s.busy != nil {
		<-s.busy
	}
	s.note("bgp reach %s %v", p, ok)
}
func (s *fakeSpeaker) Programmed(map[netip.Prefix]state.Group) {}
func (s *fakeSpeaker) Drain()                                  {}
func (s *fakeSpeaker) Status() []bgp.PeerStatus                { return nil }
func (s *fakeSpeaker) Routes() map[netip.Prefix]state.Group    { return nil }

type fakeBFD struct{ *journal }

func (b fakeBFD) Set(sessions map[bfd.Key]bfd.Params) {
	var out []string
	for k, p := range sessions {
		out = append(out, fmt.Sprintf("%s@%s %v×%d", k.Peer, k.Interface, p.Interval, p.Multiplier))
	}
	slices.Sort(out)
	b.note("bfd set %s", strings.Join(out, ", "))
}
func (b fakeBFD) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (b fakeBFD) Status() []bfd.Status          { return nil }

// fakeFIB fails when told to. Like the real one it allows Fail during Update.
type fakeFIB struct {
	*journal
	mu       sync.Mutex
	refuse   map[string]error // by call, once
	findings []string
	hold     chan struct{} // Update waits for it if not nil
	began    chan struct{} // and says that it does
}

// refuseNext makes the next such call fail.
func (f *fakeFIB) refuseNext(call string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse[call] = errors.New("no buffer space")
}

// find makes the next audit find these.
func (f *fakeFIB) find(findings ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.findings = findings
}

func (f *fakeFIB) said(call string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.refuse[call]
	delete(f.refuse, call)
	return err
}

func (f *fakeFIB) Adopt() error { f.note("fib adopt"); return f.said("adopt") }
func (f *fakeFIB) Set(state.State) (kernel.Applied, error) {
	return kernel.Applied{}, errors.New("nobody calls Set")
}
func (f *fakeFIB) Update(set map[netip.Prefix]state.Group, del []netip.Prefix) (kernel.Applied, error) {
	if f.hold != nil {
		f.began <- struct{}{}
		<-f.hold
	}
	slices.SortFunc(del, state.ComparePrefix)
	f.note("fib update %v delete %v", slices.SortedFunc(maps.Keys(set), state.ComparePrefix), del)
	if err := f.said("update"); err != nil {
		return kernel.Applied{}, err
	}
	return kernel.Applied{Routes: len(set) + len(del), Took: time.Millisecond}, nil
}
func (f *fakeFIB) Fail(h state.NextHop) (kernel.Applied, error) {
	f.note("fib fail %s", h)
	return kernel.Applied{Groups: 1}, f.said("fail")
}
func (f *fakeFIB) Restore(h state.NextHop) (kernel.Applied, error) {
	f.note("fib restore %s", h)
	return kernel.Applied{}, f.said("restore")
}
func (f *fakeFIB) Sweep() (int, error) { f.note("fib sweep"); return 3, f.said("sweep") }
func (f *fakeFIB) Audit() ([]string, error) {
	f.note("fib audit")
	f.mu.Lock()
	found := f.findings
	f.findings = nil
	f.mu.Unlock()
	return found, f.said("audit")
}
func (f *fakeFIB) CleanUp() error        { return nil }
func (f *fakeFIB) Dump() (string, error) { return "", nil }
func (f *fakeFIB) Close() error          { return nil }

type fakeLinks chan kernel.LinkEvent

func (l fakeLinks) Run(ctx context.Context, out chan<- kernel.LinkEvent) error {
	for {
		select {
		case e := <-l:
			out <- e
		case <-ctx.Done():
			return nil
		}
	}
}

// stage is an agent among fakes.
type stage struct {
	*Agent
	*journal
	speaker *fakeSpeaker
	fib     *fakeFIB
	links   fakeLinks
	stop    func() error
}

func testConfig() config.Config {
	c := config.Config{Neighbors: neighbors()}
	c.BGP.GracefulRestart.SelectionDeferral = 30 * time.Second
	for i := range c.Neighbors {
		c.Neighbors[i].BFD.Interval, c.Neighbors[i].BFD.Multiplier = 50*time.Millisecond, 3
	}
	return c
}

func newStage() *stage {
	j := newJournal()
	s := &stage{journal: j, speaker: &fakeSpeaker{journal: j}, links: make(fakeLinks),
		fib: &fakeFIB{journal: j, refuse: map[string]error{}}}
	s.Agent = New(testConfig(), Deps{Speaker: s.speaker, BFD: fakeBFD{j}, FIB: s.fib, Links: s.links, Events: j})
	return s
}

func (s *stage) start(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	s.stop = sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("Run = %v", err)
		}
	})
}

func prefixes(names ...string) map[netip.Prefix]state.Group {
	out := map[netip.Prefix]state.Group{}
	for _, n := range names {
		out[netip.MustParsePrefix(n)] = state.Group{Primary: []state.NextHop{hopOf(isp1, "up1")}}
	}
	return out
}
