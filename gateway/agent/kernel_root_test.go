package agent

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"gwlab/gateway/bgp"
	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

// ground is an agent on the real kernel: a namespace with up1, up2 and ibl,
// whose other ends are in another. BFD and BGP are fakes.
type ground struct {
	*Agent
	*journal
	t     testing.TB
	there *netlink.Handle
	fib   *kernel.Netlink
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("this test needs root, and GWLAB_REQUIRE_ROOT=1")
	}
	t.Skip("needs root: it makes network namespaces")
}

// newGround leaves the test's thread locked in an anonymous namespace, which
// ends with it.
func newGround(t testing.TB) *ground {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	there, err := netns.New()
	must(t, err)
	defer there.Close() // the handle below keeps it
	far, err := netlink.NewHandleAt(there)
	must(t, err)
	t.Cleanup(far.Close)
	here, err := netns.New()
	must(t, err)
	defer here.Close() // as above
	near, err := netlink.NewHandleAt(here)
	must(t, err)
	defer near.Close()
	for i, name := range []string{"up1", "up2", "ibl"} {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = name, 300+i
		must(t, near.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(int(there))}))
		for side, h := range []*netlink.Handle{near, far} {
			l, err := h.LinkByName(name)
			must(t, err)
			addr, err := netlink.ParseAddr(fmt.Sprintf("198.18.%d.%d/24", i+1, side+1))
			must(t, err)
			must(t, h.AddrAdd(l, addr))
			must(t, h.LinkSetUp(l))
		}
	}
	g := &ground{t: t, there: far}
	g.fib = g.open()
	must(t, g.fib.Prepare())
	return g
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (g *ground) open() *kernel.Netlink {
	g.t.Helper()
	fib, err := kernel.New(kernel.Options{})
	must(g.t, err)
	g.t.Cleanup(func() { fib.Close() })
	return fib
}

// start runs an agent on fib until the returned function is called.
func (g *ground) start(fib *kernel.Netlink) (stop func()) {
	g.t.Helper()
	links, err := kernel.NewLinks()
	must(g.t, err)
	g.journal, g.fib = newJournal(), fib
	g.Agent = New(testConfig(), Deps{
		Speaker: &fakeSpeaker{journal: g.journal}, BFD: fakeBFD{g.journal}, FIB: fib, Links: links, Events: g.journal,
	})
	ctx, cancel := context.WithCancel(g.t.Context())
	done := make(chan error, 1)
	go func() { done <- g.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			g.t.Errorf("Run = %v", err)
		}
		links.Close()
	}
}

// await waits until every one of these was noted, and returns all that was
// noted until then.
func (g *ground) await(wanted ...string) []string {
	g.t.Helper()
	timeout := time.After(10 * time.Second)
	var all []string
	for {
		all = append(all, g.take()...)
		missing := slices.DeleteFunc(slices.Clone(wanted), func(w string) bool {
			return slices.ContainsFunc(all, func(line string) bool { return strings.HasPrefix(line, w) })
		})
		if len(missing) == 0 {
			return all
		}
		select {
		case <-g.news:
		case <-timeout:
			g.t.Fatalf("never happened: %q; did:\n%s", missing, strings.Join(all, "\n"))
		}
	}
}

// settled waits until nothing is left to program and compares the kernel.
func (g *ground) settled(want string) {
	g.t.Helper()
	var got string
	deadline := time.Now().Add(10 * time.Second)
	for time.Now().Before(deadline) {
		dump, err := g.fib.Dump()
		must(g.t, err)
		if _, got, _ = strings.Cut(dump, "kernel\n"); got == want && g.Programmed() {
			return
		}
		runtime.Gosched()
	}
	g.t.Errorf("kernel (-want +got):\n%s", cmp.Diff(want, got))
}

func (g *ground) carrier(name string, up bool) {
	g.t.Helper()
	l, err := g.there.LinkByName(name)
	must(g.t, err)
	if up {
		must(g.t, g.there.LinkSetUp(l))
	} else {
		must(g.t, g.there.LinkSetDown(l))
	}
}

func groundRoutes() map[netip.Prefix]state.Group {
	a, b, c := hopOf(isp1, "up1"), hopOf(isp2, "up2"), hopOf(gw2, "ibl")
	return map[netip.Prefix]state.Group{
		netip.MustParsePrefix("0.0.0.0/0"):     {Primary: []state.NextHop{a, b}, Backup: []state.NextHop{c}},
		netip.MustParsePrefix("100.64.0.0/16"): {Primary: []state.NextHop{a}, Backup: []state.NextHop{c}},
		netip.MustParsePrefix("100.65.0.0/16"): {Primary: []state.NextHop{a}},
	}
}

const (
	whole = `route 0.0.0.0/0 via 198.18.1.2@up1 198.18.2.2@up2 (198.18.3.2@ibl)
route 100.64.0.0/16 via 198.18.1.2@up1 (198.18.3.2@ibl)
route 100.65.0.0/16 via 198.18.1.2@up1
`
	withoutISP1 = `route 0.0.0.0/0 via 198.18.2.2@up2 (198.18.3.2@ibl)
route 100.64.0.0/16 via 198.18.3.2@ibl
route 100.65.0.0/16 via 198.18.1.2@up1
`
	withoutUp1 = `route 0.0.0.0/0 via 198.18.2.2@up2 (198.18.3.2@ibl)
route 100.64.0.0/16 via 198.18.3.2@ibl
`
)

func TestOnTheKernel(t *testing.T) {
	g := newGround(t)
	stop := g.start(g.fib)
	g.await("event link.up up1", "event link.up up2", "event link.up ibl", "bfd set")
	g.OnUpdate(bgp.Update{Set: groundRoutes()})
	g.settled(whole)

	// Silent loss: BFD says so.
	g.OnBFD(*bfdUp(isp1).bfd)
	g.OnBFD(*bfdDown(isp1).bfd)
	g.await("event fib.repair 198.18.1.2 [cause=bfd groups=3", "bgp reach 198.18.1.2 false")
	g.settled(withoutISP1)
	g.OnBFD(*bfdUp(isp1).bfd)
	g.await("bgp reach 198.18.1.2 true")
	g.settled(whole)

	// Carrier loss, of one leg and then of both.
	g.carrier("up1", false)
	g.await("event link.down up1", "event fib.repair 198.18.1.2 [cause=carrier", "bgp reach 198.18.1.2 false")
	g.settled(withoutUp1)
	g.carrier("up2", false)
	g.await("event link.down up2", "event fib.repair 198.18.2.2 [cause=carrier", "bgp reach 198.18.2.2 false")
	g.settled("route 0.0.0.0/0 via 198.18.3.2@ibl\nroute 100.64.0.0/16 via 198.18.3.2@ibl\n")
	g.carrier("up2", true)
	g.carrier("up1", true)
	g.await("event link.up up1", "event link.up up2", "bgp reach 198.18.1.2 true", "bgp reach 198.18.2.2 true")
	g.settled(whole)

	// A crash: the next agent adopts, BGP tells one route less, and the
	// kernel forwards by all of them until End-of-RIB.
	stop()
	stop = g.start(g.open())
	defer func() { stop() }()
	g.await("event link.up up1")
	g.settled(whole)
	routes := groundRoutes()
	delete(routes, netip.MustParsePrefix("100.65.0.0/16"))
	g.OnUpdate(bgp.Update{Set: routes})
	g.settled(whole)
	for _, n := range neighbors() {
		g.OnPeer(bgp.PeerEvent{Peer: n.Address, Up: true, Synced: true})
	}
	g.await("event fib.swept  [after=End-of-RIB of every peer routes=1]")
	g.settled(strings.Join(strings.SplitAfter(whole, "\n")[:2], ""))
	if findings, err := g.fib.Audit(); err != nil || len(findings) > 0 {
		t.Errorf("audit: %v, %v", findings, err)
	}
}
