package probe

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
	"gwlab/lab/netns"
	"gwlab/reports/convergence"
)

const childEnv = "GWLAB_PROBE_TEST_CHILD"

// TestMain lets the test binary be the probe process, or one that runs it.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(childEnv) == "1":
	case os.Getenv(parentEnv) != "":
		if err := parent(os.Getenv(parentEnv)); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	default:
		os.Exit(m.Run())
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Main(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func requireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("not root, and GWLAB_REQUIRE_ROOT=1")
	}
	t.Skip("needs root: namespaces and real-time scheduling")
}

// bench is two namespaces joined by a veth pair, "a" and "b".
type bench struct{ a, b string }

func newBench(t *testing.T) bench {
	t.Helper()
	requireRoot(t)
	name := func(side string) string {
		return fmt.Sprintf("gwt-probe-%d-%s-%s", os.Getpid(), side, strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	}
	for _, side := range []string{"a", "b"} {
		if err := netns.Create(name(side)); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := netns.Delete(name(side)); err != nil {
				t.Error(err)
			}
		})
	}
	n := bench{netns.Path(name("a")), netns.Path(name("b"))}
	must(t, netns.Do(n.a, func() error {
		peer, err := os.Open(n.b)
		if err != nil {
			return err
		}
		defer peer.Close()
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: netlink.LinkAttrs{Name: "v0", Index: 101},
			PeerName:  "v0", PeerNamespace: netlink.NsFd(int(peer.Fd())),
		})
	}))
	for i, path := range []string{n.a, n.b} {
		must(t, netns.Do(path, func() error { return up(i + 1) }))
	}
	return n
}

func up(host int) error {
	v0, err := netlink.LinkByName("v0")
	if err != nil {
		return err
	}
	for _, cidr := range []string{fmt.Sprintf("198.18.0.%d/24", host), fmt.Sprintf("fd00::%d/64", host)} {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if strings.Contains(cidr, ":") {
			addr.Flags = unix.IFA_F_NODAD
		}
		if err := netlink.AddrAdd(v0, addr); err != nil {
			return err
		}
	}
	return netlink.LinkSetUp(v0)
}

func setLink(up bool) error {
	v0, err := netlink.LinkByName("v0")
	if err != nil {
		return err
	}
	if up {
		return netlink.LinkSetUp(v0)
	}
	return netlink.LinkSetDown(v0)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// flows are n flows of each direction and family.
func (n bench) flows(count int, interval time.Duration) []Flow {
	var list []Flow
	for i := range count {
		for _, ends := range [][2]string{{"198.18.0.1", "198.18.0.2"}, {"fd00::2", "fd00::1"}} {
			f := Flow{FromNetns: n.a, ToNetns: n.b}
			f.ID, f.Group, f.Index = uint16(len(list)+1), "out", i
			if len(list)%2 == 1 {
				f.FromNetns, f.ToNetns, f.Group = n.b, n.a, "in"
			}
			f.Src = netip.AddrPortFrom(netip.MustParseAddr(ends[0]), uint16(20000+i)).String()
			f.Dst = netip.AddrPortFrom(netip.MustParseAddr(ends[1]), 7000).String()
			f.Interval = interval
			list = append(list, f)
		}
	}
	return list
}

func options(t *testing.T, flows []Flow) Options {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	return Options{Command: []string{self}, Env: append(os.Environ(), childEnv+"=1"), Spec: Spec{Flows: flows}}
}

// gate drops everything that enters both namespaces while it is closed.
func (n bench) gate(t *testing.T) Gate {
	t.Helper()
	flag, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	must(t, err)
	t.Cleanup(func() { flag.Close() })
	const pass, drop = 0, 2 // TCX_PASS, TCX_DROP
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{
			asm.StoreImm(asm.RFP, -4, 0, asm.Word),
			asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, -4),
			asm.LoadMapPtr(asm.R1, flag.FD()),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "pass"),
			asm.LoadMem(asm.R1, asm.R0, 0, asm.Word),
			asm.JEq.Imm(asm.R1, 0, "pass"),
			asm.Mov.Imm(asm.R0, drop), asm.Return(),
			asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"), asm.Return(),
		},
	})
	must(t, err)
	t.Cleanup(func() { prog.Close() })
	for _, path := range []string{n.a, n.b} {
		must(t, netns.Do(path, func() error {
			v0, err := netlink.LinkByName("v0")
			if err != nil {
				return err
			}
			l, err := link.AttachTCX(link.TCXOptions{Interface: v0.Attrs().Index, Program: prog, Attach: ebpf.AttachTCXIngress})
			if err == nil {
				t.Cleanup(func() { l.Close() })
			}
			return err
		}))
	}
	return func(closed bool) (int64, int64, error) {
		var v uint32
		if closed {
			v = 1
		}
		call := monotime.Now()
		err := flag.Put(uint32(0), v)
		return call, monotime.Now(), err
	}
}

func TestIdlePathLosesNothing(t *testing.T) {
	n := newBench(t)
	s, err := Start(t.Context(), options(t, n.flows(5, time.Millisecond)))
	must(t, err)
	await(t, s, sentAtLeast(1000))
	flows, health, err := s.Stop(t.Context())
	must(t, err)
	for _, f := range flows {
		if len(f.Sent) < 500 || f.Duplicates != 0 || f.Reordered != 0 {
			t.Errorf("flow %d: %d sent, %d duplicates, %d reordered", f.ID, len(f.Sent), f.Duplicates, f.Reordered)
		}
		phase := convergence.Phase{Start: 0, End: monotime.Now()}
		if o := convergence.Outages(f, phase, time.Second); len(o) != 0 {
			t.Errorf("flow %d: lost packets: %+v", f.ID, o)
		}
	}
	if health.Overruns != 0 || health.SendErrors != 0 || health.NoBuffers != 0 || health.Foreign != 0 {
		t.Errorf("health %+v", health)
	}
	t.Logf("health %+v", health)
}

// The bar: an error of at most one packet interval, or no statement.
func TestKnownOutages(t *testing.T) {
	for _, busy := range []int{0, 4} {
		t.Run(fmt.Sprintf("busy%d", busy), func(t *testing.T) {
			n := newBench(t)
			c := Calibration{Options: options(t, n.flows(5, time.Millisecond)), Gate: n.gate(t), Outages: 6, Seed: uint64(time.Now().UnixNano())}
			burn(t, busy)
			list, health, err := c.Run(t.Context())
			must(t, err)
			for _, m := range list {
				t.Logf("truth %v ±%v: error %v %s", m.Truth, m.Bracket, m.Error, m.Unfit)
				if m.Unfit == "" && m.Error > time.Millisecond+m.Bracket {
					t.Errorf("seed %d: an outage of %v was measured as %+v", c.Seed, m.Truth, m.Worst)
				}
			}
			t.Logf("%+v; late p99 %v worst %v, busy %.0f %%, steal %.1f %%, pressure %.0f %%, stalls %v, real-time %v", Summarize(list),
				health.P99Lateness, health.WorstLateness, health.BusyPercent, health.StealPercent, health.CPUPressure, len(health.Stalls), health.RealTime)
		})
	}
}

// burn keeps n threads busy until the test ends.
func burn(t *testing.T, n int) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	for range n {
		go func() {
			for ctx.Err() == nil {
			}
			done <- struct{}{}
		}()
	}
	t.Cleanup(func() {
		stop()
		for range n {
			<-done
		}
	})
}
