package observe

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gwlab/internal/monotime"
	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

func prefix() string { return fmt.Sprintf("gwt-observe-%d-", os.Getpid()) }

func TestMain(m *testing.M) {
	code := m.Run()
	left, err := netns.List(prefix())
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "namespaces left behind:", left, err)
		code = 1
	}
	os.Exit(code)
}

// bench is a gateway with two uplinks, being watched.
type bench struct {
	t      *testing.T
	mu     sync.Mutex
	events []convergence.Event
	seen   int // events before this one have been waited past
	news   chan struct{}
}

var server = netip.MustParsePrefix("203.0.113.0/24")

// start builds namespaces gw and isp with links isp1 and isp2 between them
// and watches gw.
func start(t *testing.T, setup string) *bench {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
			t.Fatal("GWLAB_REQUIRE_ROOT=1 but not root")
		}
		t.Skip("needs root: makes network namespaces")
	}
	for _, n := range []string{"gw", "isp"} {
		if err := netns.Create(prefix()+n, netns.NoAutoconf()...); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := netns.Delete(prefix() + n); err != nil {
				t.Error(err)
			}
		})
	}
	b := &bench{t: t, news: make(chan struct{}, 1)}
	for i := 1; i <= 2; i++ {
		b.ip("gw", fmt.Sprintf(`
link add isp%[1]d index 1%[1]d type veth peer name gw%[1]d index 2%[1]d netns %[2]sisp
addr add 198.18.%[1]d.1/24 dev isp%[1]d
addr add fd00:%[1]d::1/64 dev isp%[1]d nodad
link set isp%[1]d up`, i, prefix()))
		b.ip("isp", fmt.Sprintf("link set gw%d up", i))
	}
	b.ip("gw", "link set lo up\n"+setup)
	b.watch()
	return b
}

func (b *bench) watch() {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	w := New(map[string]string{"gw": netns.Path(prefix() + "gw")}, []netip.Prefix{server, netip.MustParsePrefix("2001:db8:5::/48")}, b.take)
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	b.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.t.Error(err)
		}
	})
	select {
	case <-w.Ready():
	case err := <-done:
		done <- nil
		b.t.Fatalf("Run: %v", err)
	}
}

func (b *bench) take(e convergence.Event) {
	b.mu.Lock()
	b.events = append(b.events, e)
	b.mu.Unlock()
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// ip runs commands in a namespace.
func (b *bench) ip(ns, script string) {
	b.t.Helper()
	cmd := exec.Command("ip", "-n", prefix()+ns, "-batch", "-")
	cmd.Stdin = strings.NewReader(script + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		b.t.Fatalf("ip -batch: %v: %s\n%s", err, out, script)
	}
}

func text(e convergence.Event) string {
	return fmt.Sprintf("%s %s via=%s", e.Kind, e.Key, e.Data["via"])
}

// wait returns the next event that reads as wanted.
func (b *bench) wait(want string) convergence.Event {
	b.t.Helper()
	timeout := time.After(5 * time.Second)
	for {
		b.mu.Lock()
		for i := b.seen; i < len(b.events); i++ {
			if e := b.events[i]; text(e) == want {
				b.seen = i + 1
				b.mu.Unlock()
				return e
			}
		}
		b.mu.Unlock()
		select {
		case <-b.news:
		case <-timeout:
			b.mu.Lock()
			defer b.mu.Unlock()
			b.t.Fatalf("no event %q; there were:\n%s", want, b.all())
		}
	}
}

func (b *bench) all() string {
	var lines []string
	for _, e := range b.events {
		lines = append(lines, fmt.Sprintf("%d %s %v", e.T, text(e), e.Data))
	}
	return strings.Join(lines, "\n")
}

const (
	byObjects = `
nexthop add id 1 via 198.18.1.2 dev isp1
nexthop add id 2 via 198.18.2.2 dev isp2
nexthop add id 10 group 1/2
route add 203.0.113.0/24 nhid 10`
	byHops = "route add 203.0.113.0/24 nexthop via 198.18.1.2 dev isp1 nexthop via 198.18.2.2 dev isp2"
)

func TestTheInitialWaysOnAreTold(t *testing.T) {
	b := start(t, byHops)
	e := b.wait("fib.change 203.0.113.0/24 via=isp1,isp2")
	if e.Data["initial"] != "true" || e.Data["route"] != "203.0.113.0/24" || e.Node != "gw" || e.Source != "netlink" ||
		e.Data["nexthops"] != "198.18.1.2 dev isp1,198.18.2.2 dev isp2" {
		t.Errorf("%+v", e)
	}
	b.wait("fib.change 2001:db8:5::/48 via=")
}

func TestCarrierLossAndWhatTheKernelMakesOfIt(t *testing.T) {
	for name, compat := range map[string]string{"compat": "1", "no compat": "0"} {
		t.Run(name, func(t *testing.T) {
			b := start(t, byObjects)
			if err := netns.Do(netns.Path(prefix()+"gw"), func() error {
				return netns.SetSysctls(netns.Sysctl{Key: "net.ipv4.nexthop_compat_mode", Value: compat})
			}); err != nil {
				t.Fatal(err)
			}
			before := monotime.Now()
			b.ip("isp", "link set gw1 down")
			e := b.wait("link.down isp1 via=")
			if e.Data["reason"] != "carrier" || e.T < before || e.T > monotime.Now() {
				t.Errorf("%+v, cut after %d", e, before)
			}
			group := b.wait("nexthop.change 10 via=198.18.2.2 dev isp2")
			fib := b.wait("fib.change 203.0.113.0/24 via=isp2")
			t.Logf("after the carrier's event: group %.3f ms, way on %.3f ms", float64(group.T-e.T)/1e6, float64(fib.T-e.T)/1e6)
			b.ip("isp", "link set gw1 up")
			b.wait("link.up isp1 via=")
		})
	}
}

func TestAdminDownIsToldFromCarrierLoss(t *testing.T) {
	for name, setup := range map[string]string{"objects": byObjects, "hops": byHops} {
		t.Run(name, func(t *testing.T) {
			b := start(t, setup)
			b.ip("gw", "link set isp1 down")
			if e := b.wait("link.down isp1 via="); e.Data["reason"] != "admin" {
				t.Errorf("%+v", e)
			}
			b.wait("fib.change 203.0.113.0/24 via=isp2")
		})
	}
}

func TestGroupReplaceIsSeenInEitherCompatibilityMode(t *testing.T) {
	b := start(t, byObjects)
	for _, compat := range []string{"0", "1"} {
		if err := netns.Do(netns.Path(prefix()+"gw"), func() error {
			return netns.SetSysctls(netns.Sysctl{Key: "net.ipv4.nexthop_compat_mode", Value: compat})
		}); err != nil {
			t.Fatal(err)
		}
		b.ip("gw", "nexthop replace id 10 group 2")
		at := b.wait("nexthop.change 10 via=198.18.2.2 dev isp2").T
		if e := b.wait("fib.change 203.0.113.0/24 via=isp2"); e.T < at {
			t.Errorf("way on moved at %d, before its cause at %d", e.T, at)
		}
		b.ip("gw", "nexthop replace id 10 group 1/2")
		b.wait("fib.change 203.0.113.0/24 via=isp1,isp2")
	}
	b.ip("gw", "nexthop del id 10")
	b.wait("nexthop.delete 10 via=")
	b.wait("fib.change 203.0.113.0/24 via=")
}

func TestRoutesMoveTheWayOn(t *testing.T) {
	b := start(t, "")
	for _, step := range []struct{ command, route, fib string }{
		{"route add default via 198.18.1.2 proto 186", "route.change 0.0.0.0/0 via=198.18.1.2 dev isp1", "fib.change 203.0.113.0/24 via=isp1"},
		{byHops, "route.change 203.0.113.0/24 via=198.18.1.2 dev isp1,198.18.2.2 dev isp2", "fib.change 203.0.113.0/24 via=isp1,isp2"},
		{"route replace 203.0.113.0/24 via 198.18.2.2", "route.change 203.0.113.0/24 via=198.18.2.2 dev isp2", "fib.change 203.0.113.0/24 via=isp2"},
		{"route del 203.0.113.0/24", "route.delete 203.0.113.0/24 via=198.18.2.2 dev isp2", "fib.change 203.0.113.0/24 via=isp1"},
		{"route add blackhole 203.0.113.0/24", "route.change 203.0.113.0/24 via=", "fib.change 203.0.113.0/24 via="},
		{
			"route add 2001:db8:5::/48 nexthop via fd00:1::2 nexthop via fd00:2::2",
			"route.change 2001:db8:5::/48 via=fd00:1::2 dev isp1,fd00:2::2 dev isp2", "fib.change 2001:db8:5::/48 via=isp1,isp2",
		},
		{"route del 2001:db8:5::/48 via fd00:1::2 dev isp1", "", "fib.change 2001:db8:5::/48 via=isp2"},
	} {
		b.ip("gw", step.command)
		if step.route != "" {
			b.wait(step.route)
		}
		b.wait(step.fib)
	}
}

func TestAFullTableIsGathered(t *testing.T) {
	b := start(t, byObjects)
	var script strings.Builder
	const n = 100_000
	for i := range n {
		fmt.Fprintf(&script, "route add 10.%d.%d.%d/32 nhid 10\n", i>>16, i>>8&255, i&255)
	}
	// From a file: feeding a pipe would count as this process's time.
	file := filepath.Join(t.TempDir(), "routes")
	if err := os.WriteFile(file, []byte(script.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	used := cpu(t)
	begin := time.Now()
	if out, err := exec.Command("ip", "-n", prefix()+"gw", "-batch", file).CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v: %s", err, out)
	}
	took := time.Since(begin)
	b.ip("gw", "route add default via 198.18.1.2")
	b.wait("route.change 0.0.0.0/0 via=198.18.1.2 dev isp1")
	used = cpu(t) - used
	b.mu.Lock()
	events, total := 0, 0
	for _, e := range b.events {
		if e.Data["count"] != "" {
			count := 0
			if _, err := fmt.Sscan(e.Data["count"], &count); err != nil {
				t.Error(err)
			}
			events, total = events+1, total+count
		}
		if e.Kind == Overrun {
			t.Error("messages were lost")
		}
	}
	b.mu.Unlock()
	// The last window may still be open.
	if total > n || total < n/2 || events > n/10 {
		t.Errorf("%d routes told in %d events", total, events)
	}
	t.Logf("%d routes added in %v: %d events, %v of processor time here", n, took, events, used)
}

func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// deaf is a second watcher of the bench's gateway that hears as little at once
// as there can be and reads when told to; its events are of node "slow".
func (b *bench) deaf() *node {
	b.t.Helper()
	n := newNode("gw", []netip.Prefix{server}, func(node string, at int64, c change) {
		b.take(convergence.Event{T: at, Node: "slow", Kind: c.kind, Key: c.key, Data: c.data})
	})
	b.t.Cleanup(func() { _ = n.close() })
	if err := netns.Do(netns.Path(prefix()+"gw"), n.open); err != nil {
		b.t.Fatal(err)
	}
	if err := syscall.SetsockoptInt(n.fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 1); err != nil {
		b.t.Fatal(err)
	}
	if err := n.start(monotime.Now()); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// hear has a deaf watcher read once.
func (b *bench) hear(n *node) {
	b.t.Helper()
	if err := n.receive(); err != nil {
		b.t.Fatal(err)
	}
	n.settle(monotime.Now())
}

// forget lets wait see no event of before.
func (b *bench) forget() {
	b.mu.Lock()
	b.seen = len(b.events)
	b.mu.Unlock()
}

// waitSlow is wait for an event of the deaf watcher.
func (b *bench) waitSlow(want string) {
	b.t.Helper()
	for b.wait(want).Node != "slow" {
	}
}

// overrun makes more messages than a deaf watcher can hold, then one more.
func (b *bench) overrun(last string) {
	b.t.Helper()
	var script strings.Builder
	for i := range 100 {
		fmt.Fprintf(&script, "route add 10.0.0.%d/32 via 198.18.2.2\n", i)
	}
	b.ip("gw", script.String()+last)
}

func TestOverrunIsToldAndMended(t *testing.T) {
	b := start(t, byObjects)
	n := b.deaf()
	b.overrun("link set isp1 down")
	b.hear(n)
	b.waitSlow("observe.overrun  via=")
	b.waitSlow("link.down isp1 via=")
	b.waitSlow("nexthop.change 10 via=198.18.2.2 dev isp2")
	b.waitSlow("fib.change 203.0.113.0/24 via=isp2")
}

// TestNothingIsLostUnheardAfterAnOverrun changes something right after the
// state was read anew: what was not read before that would have hidden it.
func TestNothingIsLostUnheardAfterAnOverrun(t *testing.T) {
	b := start(t, byObjects)
	n := b.deaf()
	b.overrun("")
	b.hear(n)
	b.waitSlow("observe.overrun  via=")
	b.forget()
	b.ip("gw", "link set isp2 down")
	b.hear(n)
	b.waitSlow("link.down isp2 via=")
	b.waitSlow("fib.change 203.0.113.0/24 via=isp1")
}

func TestRunRefusesANodeThatIsNotThere(t *testing.T) {
	err := Watch(t.Context(), map[string]string{"gw": "/nowhere"}, func(convergence.Event) {})
	if err == nil || !strings.Contains(err.Error(), "gw") || !strings.Contains(err.Error(), "/nowhere") {
		t.Errorf("Watch: %v", err)
	}
}
