package kernel_test

import (
	"context"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"gwlab/gateway/kernel"
	"gwlab/internal/monotime"
)

func TestLinksTellWhatIsThereAndWhatChanges(t *testing.T) {
	w := newWorld(t)
	watch, err := kernel.NewLinks()
	w.must(err)
	defer watch.Close()
	ctx, cancel := context.WithCancel(context.Background())
	events, done := make(chan kernel.LinkEvent, 64), make(chan error, 1)
	before := monotime.Now()
	go func() { done <- watch.Run(ctx, events) }()

	first := map[string]bool{}
	for range len(ports) + 1 {
		e := next(t, events)
		first[e.Interface] = e.Up
		if e.At < before || e.At > monotime.Now() || e.Index == 0 {
			t.Errorf("event %+v is not of this time and place", e)
		}
	}
	if len(first) != 4 || first["lo"] || !first["up1"] || !first["up2"] || !first["ibl"] {
		t.Errorf("first events = %v, want the three ports up and lo down", first)
	}
	w.cut("up1")
	expect(t, events, "up1", false)
	w.mend("up1")
	expect(t, events, "up1", true)
	l, err := w.here.LinkByName("up2")
	w.must(err)
	w.must(w.here.LinkSetDown(l))
	expect(t, events, "up2", false)
	w.must(w.here.LinkSetName(l, "renamed"))
	expect(t, events, "renamed", false)
	w.must(w.here.LinkSetUp(l))
	expect(t, events, "renamed", true)
	addr, err := netlink.ParseAddr("198.18.99.1/24")
	w.must(err)
	w.must(w.here.AddrAdd(l, addr))
	expect(t, events, "renamed", true)
	w.must(w.here.LinkDel(l))
	expect(t, events, "renamed", false)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Run = %v after its context ended", err)
	}
}

func next(t *testing.T, events <-chan kernel.LinkEvent) kernel.LinkEvent {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second):
		t.Fatal("no link event")
		return kernel.LinkEvent{}
	}
}

// expect waits for an event; address changes may repeat what was said before.
func expect(t *testing.T, events <-chan kernel.LinkEvent, name string, up bool) {
	t.Helper()
	for {
		if e := next(t, events); e.Interface == name && e.Up == up {
			return
		}
	}
}

func TestLinksRunFailsWhenClosed(t *testing.T) {
	newWorld(t)
	watch, err := kernel.NewLinks()
	if err != nil {
		t.Fatal(err)
	}
	if err := watch.Close(); err != nil {
		t.Fatal(err)
	}
	if err := watch.Run(context.Background(), make(chan kernel.LinkEvent, 64)); err == nil {
		t.Error("Run on a closed watch = nil")
	}
}

func TestPrepare(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread()
	enterNew(t)
	if err := os.WriteFile("/proc/sys/net/ipv4/conf/default/rp_filter", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	f, err := kernel.New(kernel.Options{MultipathHash: "l3", HashSeed: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		if err := f.Prepare(); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"ipv4/ip_forward":                 "1",
		"ipv6/conf/all/forwarding":        "1",
		"ipv4/nexthop_compat_mode":        "0",
		"ipv4/fib_multipath_hash_policy":  "0",
		"ipv6/fib_multipath_hash_policy":  "0",
		"ipv6/conf/all/keep_addr_on_down": "1",
		"ipv4/conf/all/rp_filter":         "2",
		"ipv4/neigh/lo/retrans_time_ms":   "100",
		"ipv6/neigh/lo/retrans_time_ms":   "100",
	} {
		got, err := os.ReadFile("/proc/sys/net/" + name)
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s = %q (%v), want %s", name, got, err, want)
		}
	}
}

func TestPrepareRejectsAnUnknownHash(t *testing.T) {
	f, err := kernel.New(kernel.Options{MultipathHash: "l7"})
	if err != nil {
		t.Skipf("needs a netlink socket with large buffers: %v", err)
	}
	defer f.Close()
	if err := f.Prepare(); err == nil || !strings.Contains(err.Error(), "l7") {
		t.Errorf("Prepare = %v, want an error that names l7", err)
	}
}
