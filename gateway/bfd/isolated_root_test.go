package bfd

import (
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestIsolatedDetectsAndHeals(t *testing.T) {
	for _, interval := range []time.Duration{50 * time.Millisecond, 10 * time.Millisecond} {
		t.Run(interval.String(), func(t *testing.T) {
			g := newGround(t)
			a, b := bothUpAs(t, g, params(interval), newIsolated)
			cut := deafen(t, g.a)
			down := a.await(t, addrB4, Down)
			t.Logf("3 × %v: down %v after the cut, %v after the last packet, called back %v later; real time: %v", interval,
				time.Duration(down.At-cut), time.Duration(down.At-down.LastRx), time.Duration(a.lag.Load()), a.RealTime())
			if down.Diag != DiagTimeout || !down.PathFailed() {
				t.Errorf("got %+v, want a path failure by timeout", down)
			}
			if told := b.await(t, addrA4, Down); told.Diag != DiagNeighborDown {
				t.Errorf("other end: got %+v", told)
			}
			undeafen(t, g.a)
			a.await(t, addrB4, Up)
		})
	}
}

func TestIsolatedRemovesChangesAndEnds(t *testing.T) {
	g := newGround(t)
	a, b := bothUpAs(t, g, params(50*time.Millisecond), newIsolated)
	a.Set(map[Key]Params{key4(addrA4, addrB4): params(200 * time.Millisecond)})
	until(t, "the slower interval", func() bool { return b.status(t, addrA4).DetectTime == 600*time.Millisecond })
	a.Set(nil)
	if down := b.await(t, addrA4, Down); down.PathFailed() {
		t.Errorf("removed: the peer sees %+v", down)
	}
	if left := a.Status(); left == nil || len(left) != 0 {
		t.Errorf("after Set(nil): %#v", left)
	}
	a.Set(map[Key]Params{key4(addrA4, addrB4): params(50 * time.Millisecond)})
	b.await(t, addrA4, Up)
	a.stop()
	if down := b.await(t, addrA4, Down); down.PathFailed() || down.RemoteState != AdminDown {
		t.Errorf("ended: the peer sees %+v", down)
	}
	if st := a.Status(); st != nil {
		t.Errorf("status after the end: %+v", st)
	}
	if err := a.Run(t.Context()); err == nil {
		t.Error("Run works twice")
	}
}

// workers returns the worker processes of this one.
func workers(t *testing.T) (pids []int) {
	t.Helper()
	lists, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		children, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, child := range strings.Fields(string(children)) {
			pid, err := strconv.Atoi(child)
			if err != nil {
				t.Fatal(err)
			}
			if line, _ := os.ReadFile("/proc/" + child + "/cmdline"); strings.TrimRight(string(line), "\x00") == workerName {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

func TestIsolatedWorkerDies(t *testing.T) {
	g := newGround(t)
	a := startAs(t, g.a, newIsolated)
	pids := workers(t)
	if len(pids) != 1 {
		t.Fatalf("workers: %v", pids)
	}
	// The signals of a terminal or a service manager are the parent's affair.
	for _, sig := range []unix.Signal{unix.SIGINT, unix.SIGTERM, unix.SIGHUP} {
		if err := unix.Kill(pids[0], sig); err != nil {
			t.Fatal(err)
		}
	}
	if a.Status() == nil {
		t.Error("the worker died of a signal for its parent")
	}
	if err := unix.Kill(pids[0], unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := <-a.ended
	if err == nil {
		t.Error("Run does not report the death of its worker")
	}
	t.Log(err)
	a.ended <- nil // for stop
	if a.Status() != nil {
		t.Error("a dead worker has a status")
	}
}

func TestIsolatedReportsWhatTheEngineReports(t *testing.T) {
	g := newGround(t)
	start(t, g.a) // has the port
	other, err := NewIsolated(Deps{Changes: func(Change) {}, Enter: func() error { return enter(g.a) }})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("got %v", err)
	}
}

func TestNewRefusesWithoutChanges(t *testing.T) {
	if _, err := New(Deps{}); err == nil {
		t.Error("New takes no Changes")
	}
	if _, err := NewIsolated(Deps{}); err == nil {
		t.Error("NewIsolated takes no Changes")
	}
}

func TestLogLinesCrossTheProcesses(t *testing.T) {
	var sent report
	j := newJournal(slog.New(logForwarder(func(r report) { sent = r })))
	p := newPeer(Key{Interface: "up0", Local: addrA4, Peer: addrB4}, newSession(1, Params{}, nil))
	for i := range int64(12) {
		p.session.lastRx = i * 1000
		p.arrived((i + 1) * 1000)
	}
	// The remote end is AdminDown: worth a note, no warning.
	j.record(Change{Key: p.key, Old: Up, State: Down, Diag: DiagTimeout, At: 5000, LastRx: 2000, DetectTime: 150 * time.Millisecond}, p)
	j.close()
	var out strings.Builder
	sent.Log.write(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	want := `level=INFO msg="bfd session changed" interface=up0 peer=198.18.7.2 from=up to=down ` +
		`diag=control-detection-time-expired remote=admin-down silent=3µs detect_time=150ms ` +
		`last_gaps="[1µs 1µs 1µs 1µs 1µs 1µs 1µs 1µs]"` + "\n"
	if out.String() != want {
		t.Errorf("got  %swant %s", out.String(), want)
	}
}
