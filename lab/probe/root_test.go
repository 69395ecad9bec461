package probe

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

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
		os.Exit(leaveNothing(m.Run()))
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := Main(ctx, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func leaveNothing(code int) int {
	left, err := netns.List(prefix())
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "namespaces left behind:", left, err)
		return 1
	}
	return code
}

func requireRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("not root, and GWLAB_REQUIRE_ROOT=1")
	}
	t.Skip("needs root: namespaces and real-time scheduling")
}

func prefix() string { return fmt.Sprintf("gwt-probe-%d-", os.Getpid()) }

func newBed(t testing.TB) *Bed {
	t.Helper()
	requireRoot(t)
	n, err := NewBed(prefix() + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-")))
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	return n
}

func setLink(up bool) error {
	eth0, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	if up {
		return netlink.LinkSetUp(eth0)
	}
	return netlink.LinkSetDown(eth0)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func options(t testing.TB, flows []Flow) Options {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	return Options{Command: []string{self}, Env: append(os.Environ(), childEnv+"=1"), Spec: Spec{Flows: flows}}
}

func TestIdlePathLosesNothing(t *testing.T) {
	n := newBed(t)
	s, err := Start(t.Context(), options(t, n.Flows(5, time.Millisecond)))
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

// measure makes outages with this many busy loops beside the probe. The bar
// is an error of at most one packet interval, or no statement.
func measure(t testing.TB, outages, busy int) Row {
	t.Helper()
	bed := newBed(t)
	c := Calibration{
		Options: options(t, bed.Flows(5, time.Millisecond)), Gate: bed.Gate,
		Outages: outages, Seed: uint64(time.Now().UnixNano()),
	}
	burn(t, busy)
	list, health, err := c.Run(t.Context())
	must(t, err)
	for _, m := range list {
		if m.Unfit != "" {
			t.Logf("an outage of %v: %s", m.Truth, m.Unfit)
		} else if m.Error > time.Millisecond+m.Bracket {
			t.Errorf("seed %d: an outage of %v ±%v was measured as %+v", c.Seed, m.Truth, m.Bracket, m.Worst)
		}
	}
	return Row{fmt.Sprintf("%d busy loops", busy), Summarize(list, time.Millisecond), health}
}

func logTable(t testing.TB, rows ...Row) {
	t.Helper()
	var b strings.Builder
	must(t, WriteTable(&b, rows))
	t.Logf("\n%s", b.String())
}

func TestKnownOutages(t *testing.T) {
	for _, busy := range []int{0, 4} {
		t.Run(fmt.Sprintf("busy%d", busy), func(t *testing.T) {
			row := measure(t, 6, busy)
			logTable(t, row)
			if row.Summary.Outages != 6 {
				t.Errorf("%d outages", row.Summary.Outages)
			}
		})
	}
}

// BenchmarkKnownOutages measures 30 outages idle and 30 beside busy loops,
// whatever b.N is; its figures are errors, not speed.
func BenchmarkKnownOutages(b *testing.B) {
	for _, busy := range []int{0, 4} {
		b.Run(fmt.Sprintf("busy%d", busy), func(b *testing.B) {
			row := measure(b, 30, busy)
			logTable(b, row)
			b.ReportMetric(row.Summary.Worst.Seconds()*1e3, "ms-worst-error")
			b.ReportMetric(row.Summary.Median.Seconds()*1e3, "ms-median-error")
			b.ReportMetric(float64(row.Summary.Unfit), "unfit")
		})
	}
}

// burn keeps n threads busy until the test ends.
func burn(t testing.TB, n int) {
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
