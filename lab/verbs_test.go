package lab

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/fault"
	"gwlab/lab/proc"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

const left, right = topologies.Endpoint("n1:right"), topologies.Endpoint("n2:left")

// ping reports whether n2 hears n1.
func ping(t *testing.T, l *Lab) bool {
	t.Helper()
	code, err := l.Exec(t.Context(), "n2", []string{"ping", "-q", "-c", "1", "-W", "1", l.Topology().Port(left).Addr("ipv4").String()}, proc.Stdio{})
	if err != nil {
		t.Fatal(err)
	}
	return code == 0
}

func carrier(t *testing.T, l *Lab, e topologies.Endpoint) bool {
	t.Helper()
	up, err := l.Carrier(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	return up
}

// took checks the brackets of an act.
func took(t *testing.T, e fault.Effect, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if e.Call == 0 || e.Return < e.Call {
		t.Errorf("effect is %+v", e)
	}
}

func TestCableVerbs(t *testing.T) {
	l := up(t, pair(), "cable")
	if !ping(t, l) {
		t.Fatal("no ping on a whole cable")
	}
	e, err := l.SetCable(t.Context(), left, fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassAll, Carrier: true})
	took(t, e, err)
	if ping(t, l) || !carrier(t, l, left) || !carrier(t, l, right) {
		t.Error("a cable deaf in one direction passes packets or lost its carrier")
	}
	a, _, err := l.CableCounters(t.Context(), right)
	if err != nil || a.Dropped == 0 || a.FirstDrop < e.Call {
		t.Errorf("counters %+v, %v; cut at %+v", a, err, e)
	}
	e, err = l.SetCable(t.Context(), right, fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassNone})
	took(t, e, err)
	within(t, 2*time.Second, "both ends lose carrier", func() bool { return !carrier(t, l, left) && !carrier(t, l, right) })
	e, err = l.SetCable(t.Context(), left, whole())
	took(t, e, err)
	within(t, 2*time.Second, "both ends see carrier", func() bool { return carrier(t, l, left) && carrier(t, l, right) })
	within(t, 5*time.Second, "ping on a mended cable", func() bool { return ping(t, l) })
	if _, err := l.SetCable(t.Context(), "n1:nothing", whole()); err == nil || !strings.Contains(err.Error(), "n1:nothing") {
		t.Errorf("error is %v", err)
	}
}

func TestPortVerbs(t *testing.T) {
	l := up(t, pair(), "port")
	for range 2 {
		e, err := l.SetPort(t.Context(), left, false)
		took(t, e, err)
	}
	if carrier(t, l, left) {
		t.Error("a port that is down has carrier")
	}
	e, err := l.SetPort(t.Context(), left, true)
	took(t, e, err)
	within(t, 2*time.Second, "carrier", func() bool { return carrier(t, l, left) })
	within(t, 5*time.Second, "ping after the port came back", func() bool { return ping(t, l) })
}

func pidOf(t *testing.T, l *Lab, process string) int {
	t.Helper()
	pid, err := l.Pid(t.Context(), "n1", process)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestPowerOffAndOn(t *testing.T) {
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent=%v", silent), func(t *testing.T) {
			l := up(t, pair(), fmt.Sprintf("power-%v", silent))
			add := []string{"sh", "-c", "ip route add 203.0.113.0/24 via 198.18.0.1 2>/dev/null || ip route add 203.0.113.0/24 dev right; ip route add blackhole 203.0.113.9; ip nexthop add id 7 blackhole"}
			if code, err := l.Exec(t.Context(), "n1", add, proc.Stdio{}); code != 0 || err != nil {
				t.Fatalf("add state: %d %v", code, err)
			}
			pid := pidOf(t, l, "idle")
			for range 2 {
				e, err := l.PowerOff(t.Context(), "n1", silent)
				took(t, e, err)
			}
			if unix.Kill(pid, 0) == nil || pidOf(t, l, "idle") != 0 {
				t.Error("a process outlived the power")
			}
			if got := carrier(t, l, right); got != silent {
				t.Errorf("neighbour's carrier is %v", got)
			}
			if ping(t, l) {
				t.Error("a powered-off node answers")
			}
			if _, err := l.Exec(t.Context(), "n1", []string{"true"}, proc.Stdio{}); err == nil {
				t.Error("exec on a powered-off node works")
			}
			for range 2 {
				e, err := l.PowerOn(t.Context(), "n1")
				took(t, e, err)
			}
			if now := pidOf(t, l, "idle"); now == 0 || now == pid {
				t.Errorf("after power on idle has pid %d, before it %d", now, pid)
			}
			within(t, 2*time.Second, "carrier", func() bool { return carrier(t, l, left) && carrier(t, l, right) })
			// The neighbour's kernel asks for a lost address once a second.
			within(t, 5*time.Second, "ping after power on", func() bool { return ping(t, l) })
			var out bytes.Buffer
			code, err := l.Exec(t.Context(), "n1", []string{"sh", "-c", "ip route; ip nexthop; ip -6 route show proto static"}, proc.Stdio{Out: &out})
			if code != 0 || err != nil || strings.Contains(out.String(), "203.0.113") || strings.Contains(out.String(), "id 7") {
				t.Errorf("the kernel remembers: %d %v\n%s", code, err, out.String())
			}
		})
	}
}

func TestPowerSetsPortsUp(t *testing.T) {
	l := up(t, pair(), "portpower")
	e, err := l.SetPort(t.Context(), left, false)
	took(t, e, err)
	if carrier(t, l, right) {
		t.Error("the far end of a cable whose port is down has carrier")
	}
	e, err = l.PowerOff(t.Context(), "n1", false)
	took(t, e, err)
	e, err = l.PowerOn(t.Context(), "n1")
	took(t, e, err)
	within(t, 2*time.Second, "carrier", func() bool { return carrier(t, l, left) && carrier(t, l, right) })
}

func TestCutOutlivesPower(t *testing.T) {
	l := up(t, pair(), "cutpower")
	e, err := l.SetCable(t.Context(), left, fault.CableState{AtoB: fault.PassNone, BtoA: fault.PassNone})
	took(t, e, err)
	e, err = l.PowerOff(t.Context(), "n1", true)
	took(t, e, err)
	e, err = l.PowerOn(t.Context(), "n1")
	took(t, e, err)
	if carrier(t, l, right) {
		t.Error("power mended a cut cable")
	}
	e, err = l.SetCable(t.Context(), left, whole())
	took(t, e, err)
	within(t, 2*time.Second, "carrier", func() bool { return carrier(t, l, right) })
}

func TestBareVethCannotDieSilently(t *testing.T) {
	topo := topologies.Line(2, "veth")
	l := up(t, topo, "veth")
	if _, err := l.PowerOff(t.Context(), "n1", true); err == nil || !strings.Contains(err.Error(), "type: cable") {
		t.Errorf("error is %v", err)
	}
	if _, err := l.SetCable(t.Context(), left, whole()); err == nil {
		t.Error("a bare veth has a middle")
	}
	e, err := l.PowerOff(t.Context(), "n1", false)
	took(t, e, err)
	within(t, 2*time.Second, "no carrier", func() bool { return !carrier(t, l, right) })
	e, err = l.PowerOn(t.Context(), "n1")
	took(t, e, err)
	within(t, 2*time.Second, "carrier", func() bool { return carrier(t, l, right) })
}

func TestProcessVerbs(t *testing.T) {
	l := up(t, pair(), "process")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	next := func(kind, key string) convergence.Event {
		t.Helper()
		for {
			select {
			case e := <-events:
				if e.Kind == kind && e.Key == key {
					return e
				}
			case <-time.After(5 * time.Second):
				t.Fatalf("no event %s %s within 5 s", kind, key)
			}
		}
	}
	first := next("process.start", "idle") // from the history
	if first.T == 0 || first.Node != "n1" || first.Data["pid"] != fmt.Sprint(pidOf(t, l, "idle")) {
		t.Errorf("first event is %+v", first)
	}
	if err := unix.Kill(pidOf(t, l, "idle"), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	next("process.exit", "idle")
	next("process.start", "idle")
	before := pidOf(t, l, "idle")

	e, err := l.Signal(t.Context(), "n1", "idle", "SIGKILL")
	took(t, e, err)
	if pid := pidOf(t, l, "idle"); pid != 0 {
		t.Errorf("killed process has pid %d", pid)
	}
	if ev := next("process.exit", "idle"); ev.T < e.Call || ev.Data["reason"] != "signal: killed" {
		t.Errorf("event %+v, effect %+v", ev, e)
	}
	e, err = l.Start(t.Context(), "n1", "idle")
	took(t, e, err)
	if pid := pidOf(t, l, "idle"); pid == 0 || pid == before {
		t.Errorf("started process has pid %d, before it %d", pid, before)
	}
	for _, bad := range []struct{ node, process, want string }{
		{"n9", "idle", "it has n1, n2"}, {"n1", "nope", "it runs idle, once"}, {"n2", "idle", "it runs none"},
	} {
		if _, err := l.Signal(t.Context(), bad.node, bad.process, "KILL"); err == nil || !strings.Contains(err.Error(), bad.want) {
			t.Errorf("signal %s on %s: %v", bad.process, bad.node, err)
		}
	}
}

func TestStatus(t *testing.T) {
	l := up(t, pair(), "status")
	s, err := l.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != l.Name() || s.State != Running || !s.Ready || len(s.Pending) != 0 || s.Nodes != 2 || s.Topology != "pair" || s.Owned {
		t.Errorf("status is %+v", s)
	}
	n1, n2 := s.NodeStatus[0], s.NodeStatus[1]
	if n1.Namespace != namespaceName(l.Name(), "n1") || !n1.Powered || n1.InitPid == 0 || len(n1.Processes) != 2 ||
		n1.Processes[0].State != proc.Running || n1.Processes[0].NodePid == 0 {
		t.Errorf("n1 is %+v", n1)
	}
	if n2.InitPid != 0 || len(n2.Processes) != 0 {
		t.Errorf("a host without processes has some: %+v", n2)
	}
	if p := n2.Ports[0]; p.Name != "left" || p.Peer != "n1:right" || !p.Carrier || len(p.Addresses) != 2 {
		t.Errorf("port is %+v", p)
	}
	if len(s.Links) != 1 || s.Links[0].A != left || s.Links[0].State != whole() {
		t.Errorf("links are %+v", s.Links)
	}
	if err := l.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.PowerOff(t.Context(), "n2", false); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Ready(ctx); err == nil || !strings.Contains(err.Error(), "n2: powered off") {
		t.Errorf("error is %v", err)
	}
}
