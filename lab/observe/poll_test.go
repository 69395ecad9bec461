package observe

import (
	"context"
	"fmt"
	"net/netip"
	"testing"

	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

func TestPollerWaitsForTheFirstThingDue(t *testing.T) {
	const ms = int64(1_000_000)
	a, b := newNode("a", nil, nil), newNode("b", nil, nil)
	p := poller{nodes: []*node{a, b}}
	if got := p.timeout(0); got != -1 {
		t.Errorf("nothing due: %d", got)
	}
	a.changed.take(100 * ms)
	b.rechecks = []int64{103*ms + 1, 200 * ms}
	for now, want := range map[int64]int{100 * ms: 4, 103*ms + 1: 0, 103 * ms: 1, 300 * ms: 0} {
		if got := p.timeout(now); got != want {
			t.Errorf("at %d: %d ms, want %d", now, got, want)
		}
	}
	b.rechecks = nil
	if got := p.timeout(100 * ms); got != 5 {
		t.Errorf("gathered routes: %d ms, want 5", got)
	}
}

func TestReadingPausesAmidACrowdUnlessALinkHasMoved(t *testing.T) {
	a, b := newNode("a", nil, nil), newNode("b", nil, nil)
	p := poller{nodes: []*node{a, b}}
	if p.crowded() {
		t.Error("crowded by nothing")
	}
	for range crowd {
		a.deleted.take(1)
	}
	if !p.crowded() {
		t.Error("a crowd is not seen")
	}
	b.rechecks = []int64{5}
	if p.crowded() {
		t.Error("pauses while another node's link has just moved")
	}
}

func TestWatchOfManyNodesEndsWithItsContext(t *testing.T) {
	b := start(t, "") // for its skip and its clean-up
	nodes := map[string]string{}
	for i := range 20 {
		nodes[fmt.Sprint("n", i)] = netns.Path(prefix() + []string{"gw", "isp"}[i%2])
	}
	initial := 0
	w := New(nodes, []netip.Prefix{server}, func(e convergence.Event) {
		if e.Kind == FIBChange && e.Data["initial"] == "true" {
			initial++
		}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- w.Run(ctx) }()
	<-w.Ready()
	b.ip("gw", "link set isp2 down")
	b.wait("link.down isp2 via=")
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if initial != len(nodes) {
		t.Errorf("%d initial states, want %d", initial, len(nodes))
	}
}
