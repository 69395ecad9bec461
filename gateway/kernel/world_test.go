package kernel_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"gwlab/gateway/kernel"
	"gwlab/gateway/state"
)

var update = flag.Bool("update", false, "write the golden files")

// needRoot skips the test without root, and fails where that may not be.
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

// world is a gateway's namespace with links up1, up2 and ibl to another
// namespace. Both are anonymous: they end with the test.
type world struct {
	t     testing.TB
	here  *netlink.Handle
	there *netlink.Handle
	links chan kernel.LinkEvent
	fib   *kernel.Netlink
}

var ports = []string{"up1", "up2", "ibl"}

// newWorld leaves the calling goroutine's thread locked in the gateway's
// namespace; the runtime ends the thread with the test.
func newWorld(t testing.TB) *world {
	t.Helper()
	needRoot(t)
	runtime.LockOSThread()
	there := enterNew(t)
	here := enterNew(t)
	w := &world{t: t, here: handle(t, here), there: handle(t, there), links: make(chan kernel.LinkEvent, 1024)}
	w.watch()
	for i, name := range ports {
		w.cable(i, name, there)
	}
	for range ports {
		w.await("", true)
	}
	w.fib = w.open()
	if err := w.fib.Prepare(); err != nil {
		t.Fatal(err)
	}
	return w
}

func enterNew(t testing.TB) netns.NsHandle {
	t.Helper()
	ns, err := netns.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return ns
}

func handle(t testing.TB, ns netns.NsHandle) *netlink.Handle {
	t.Helper()
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// open makes another FIB on the same namespace, as a restarted daemon would.
func (w *world) open() *kernel.Netlink {
	w.t.Helper()
	f, err := kernel.New(kernel.Options{})
	w.must(err)
	w.t.Cleanup(func() { f.Close() })
	return f
}

func (w *world) watch() {
	watch, err := kernel.NewLinks()
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- watch.Run(ctx, w.links) }()
	w.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("watch links: %v", err)
		}
		watch.Close()
	})
}

func (w *world) cable(i int, name string, there netns.NsHandle) {
	w.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = name, 100+i
	w.must(w.here.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: name, PeerNamespace: netlink.NsFd(int(there))}))
	for side, h := range []*netlink.Handle{w.here, w.there} {
		l, err := h.LinkByName(name)
		w.must(err)
		for _, a := range []string{fmt.Sprintf("198.18.%d.%d/24", i+1, side+1), fmt.Sprintf("2001:db8:%d::%d/64", i+1, side+1)} {
			addr, err := netlink.ParseAddr(a)
			w.must(err)
			if addr.IP.To4() == nil {
				addr.Flags = 0x02 // IFA_F_NODAD
			}
			w.must(h.AddrAdd(l, addr))
		}
		w.must(h.LinkSetUp(l))
	}
}

// await waits for the event that a link (any, if name is empty) is up or not.
func (w *world) await(name string, up bool) {
	w.t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		select {
		case e := <-w.links:
			port := e.Interface != "lo"
			if e.Up == up && (e.Interface == name || (name == "" && port)) {
				return
			}
		case <-timeout:
			w.t.Fatalf("link %q did not become up=%v", name, up)
		}
	}
}

// cut takes the carrier of a link away, mend gives it back.
func (w *world) cut(name string) {
	w.t.Helper()
	l, err := w.there.LinkByName(name)
	w.must(err)
	w.must(w.there.LinkSetDown(l))
	w.await(name, false)
}

func (w *world) mend(name string) {
	w.t.Helper()
	l, err := w.there.LinkByName(name)
	w.must(err)
	w.must(w.there.LinkSetUp(l))
	w.await(name, true)
}

// golden compares the FIB's dump with testdata/<test>/<name>.golden.
func (w *world) golden(fib *kernel.Netlink, name string) {
	w.t.Helper()
	got, err := fib.Dump()
	w.must(err)
	w.compare(name, got)
}

func hop(addr, iface string) state.NextHop {
	return state.NextHop{Addr: netip.MustParseAddr(addr), Interface: iface}
}

var (
	isp1  = hop("198.18.1.2", "up1")
	isp2  = hop("198.18.2.2", "up2")
	peer  = hop("198.18.3.2", "ibl")
	isp16 = hop("2001:db8:1::2", "up1")
	isp26 = hop("2001:db8:2::2", "up2")
	peer6 = hop("fe80::99", "ibl")
)

func hops(h ...state.NextHop) []state.NextHop { return h }

// both is the routes of a gateway with two uplinks and a peer behind them.
func both() map[netip.Prefix]state.Group {
	v4 := state.Group{Primary: hops(isp1, isp2), Backup: hops(peer)}
	v6 := state.Group{Primary: hops(isp16, isp26), Backup: hops(peer6)}
	return map[netip.Prefix]state.Group{
		netip.MustParsePrefix("0.0.0.0/0"):        v4,
		netip.MustParsePrefix("100.64.0.0/16"):    v4,
		netip.MustParsePrefix("100.65.0.0/24"):    {Primary: hops(isp1), Backup: hops(peer)},
		netip.MustParsePrefix("100.66.0.0/24"):    {Primary: hops(isp1)},
		netip.MustParsePrefix("::/0"):             v6,
		netip.MustParsePrefix("2001:db8:f::/48"):  v6,
		netip.MustParsePrefix("2001:db8:f1::/48"): {Primary: hops(isp16)},
	}
}

// table is count IPv4 routes of length 24, or IPv6 ones of length 48.
func table(count int, v6 bool, g state.Group) map[netip.Prefix]state.Group {
	out := make(map[netip.Prefix]state.Group, count)
	for i := range count {
		if v6 {
			a := netip.AddrFrom16([16]byte{0xfd, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)})
			out[netip.PrefixFrom(a, 48)] = g
		} else {
			a := netip.AddrFrom4([4]byte{20 + byte(i>>16), byte(i >> 8), byte(i), 0})
			out[netip.PrefixFrom(a, 24)] = g
		}
	}
	return out
}

// leg tells which next hop a packet to addr takes now.
func (w *world) leg(addr string) string {
	w.t.Helper()
	routes, err := w.here.RouteGet(net.ParseIP(addr))
	if err != nil || len(routes) == 0 {
		return fmt.Sprintf("none (%v)", err)
	}
	return routes[0].Gw.String()
}
