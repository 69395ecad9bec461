package lab

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gwlab/lab/kind"
	"gwlab/lab/proc"
	"gwlab/reports/convergence"
	"gwlab/topologies"
)

// programs builds gatewayd for the test and takes the rest from the machine.
func programs(t *testing.T) kind.Binaries {
	t.Helper()
	needRoot(t)
	b := kind.DefaultBinaries()
	b.Gatewayd = filepath.Join(t.TempDir(), "gatewayd")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", b.Gatewayd, "gwlab/cmd/gatewayd").CombinedOutput(); err != nil {
		t.Fatalf("build gatewayd: %v\n%s", err, out)
	}
	return b
}

func load(t *testing.T, name string) *topologies.Topology {
	t.Helper()
	topo, err := topologies.Load(topologies.Library(), name)
	if err != nil {
		t.Fatal(err)
	}
	return topo
}

// TestLibrary brings every shipped topology up until all sessions are.
func TestLibrary(t *testing.T) {
	b := programs(t)
	for _, name := range topologies.Names() {
		t.Run(name, func(t *testing.T) {
			topo := load(t, name)
			if _, err := planAll(topo, b); err != nil && os.Getenv("GWLAB_REQUIRE_ROOT") != "1" {
				t.Skip(err)
			}
			before := host(t)
			start := time.Now()
			l, err := Up(t.Context(), UpOptions{Topology: topo, Name: labName(t, name), Binaries: b, WaitReady: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("up and ready in %v", time.Since(start))
			s, err := l.Status(t.Context())
			if err != nil || !s.Ready {
				t.Errorf("status %+v, %v", s, err)
			}
			for _, n := range s.NodeStatus {
				for _, session := range n.Sessions {
					if !session.Up {
						t.Errorf("%s: session %+v is not up", n.Name, session)
					}
				}
			}
			if now := host(t); now != before {
				t.Errorf("the root namespace changed:\n%s\nwas\n%s", now, before)
			}
			start = time.Now()
			if err := l.Down(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Logf("down in %v", time.Since(start))
		})
	}
}

// TestEventsOfEverySource follows a gatewayd over its death and return.
func TestEventsOfEverySource(t *testing.T) {
	l, err := Up(t.Context(), UpOptions{
		Topology: load(t, "pair"), Name: labName(t, "events"), Binaries: programs(t), WaitReady: true,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it holds no lease
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	events, err := l.Watch(ctx)
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, match func(convergence.Event) bool) {
		t.Helper()
		limit := time.After(20 * time.Second)
		for {
			select {
			case e, open := <-events:
				if !open {
					t.Fatalf("the events ended before: %s", what)
				}
				if match(e) {
					return
				}
			case <-limit:
				t.Fatalf("not within 20 s: %s", what)
			}
		}
	}
	from := func(source, kind string, after int64) func(convergence.Event) bool {
		return func(e convergence.Event) bool {
			return e.Source == source && e.Node == "gw1" && e.Kind == kind && e.T > after
		}
	}
	expect("a session of gw1 from the history", from("gatewayd", "bgp.up", 0))
	if _, err := l.SetPort(t.Context(), l.Topology().Node("gw1").Ports[0].Endpoint(), false); err != nil {
		t.Fatal(err)
	}
	expect("the kernel tells of the port", from("netlink", "link.down", 0))
	if _, err := l.SetPort(t.Context(), l.Topology().Node("gw1").Ports[0].Endpoint(), true); err != nil {
		t.Fatal(err)
	}
	e, err := l.Signal(t.Context(), "gw1", "gatewayd", "KILL")
	took(t, e, err)
	if e, err = l.Start(t.Context(), "gw1", "gatewayd"); err != nil {
		t.Fatal(err)
	}
	expect("a session of the new gatewayd", from("gatewayd", "bgp.up", e.Call))
	if err := l.Ready(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestPowerCycle takes the power of a gateway of each implementation and gives
// it back: its sessions return, and so does the traffic through it.
func TestPowerCycle(t *testing.T) {
	b := programs(t)
	for _, gateway := range []string{"gateway", "frr", "bird"} {
		t.Run(gateway, func(t *testing.T) {
			topo, err := topologies.Load(topologies.Library(), "pair", topologies.Gateway(gateway))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := planAll(topo, b); err != nil && os.Getenv("GWLAB_REQUIRE_ROOT") != "1" {
				t.Skip(err)
			}
			l, err := Up(t.Context(), UpOptions{Topology: topo, Name: labName(t, "cycle-"+gateway), Binaries: b, WaitReady: true}, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() // it holds no lease
			for _, silent := range []bool{false, true} {
				e, err := l.PowerOff(t.Context(), "gw1", silent)
				took(t, e, err)
				var out strings.Builder
				routes := []string{"-n", namespaceName(l.Name(), "gw1"), "route", "show", "table", "all"}
				cmd := exec.CommandContext(t.Context(), "ip", routes...)
				cmd.Stdout = &out
				if err := cmd.Run(); err != nil {
					t.Fatal(err)
				}
				if strings.Contains(out.String(), "proto") && !strings.Contains(out.String(), "proto kernel") {
					t.Errorf("the kernel remembers routes:\n%s", out.String())
				}
				e, err = l.PowerOn(t.Context(), "gw1")
				took(t, e, err)
				start := time.Now()
				if err := l.Ready(t.Context()); err != nil {
					t.Fatal(err)
				}
				t.Logf("silent %v: ready %v after power on", silent, time.Since(start))
			}
		})
	}
}

func TestExecReachesTheDaemon(t *testing.T) {
	b := programs(t)
	l, err := Up(t.Context(), UpOptions{Topology: load(t, "pair"), Name: labName(t, "exec"), Binaries: b, WaitReady: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // it holds no lease
	var out strings.Builder
	code, err := l.Exec(t.Context(), "gw1", []string{b.Gatewayd, "status"}, proc.Stdio{Out: &out, Err: &out})
	if err != nil || code != 0 || !strings.Contains(out.String(), "Established") {
		t.Errorf("gatewayd status in gw1: code %d, %v\n%s", code, err, out.String())
	}
}

func TestMissingProgramIsRefusedBeforeAnythingIsBuilt(t *testing.T) {
	needRoot(t)
	b := kind.DefaultBinaries()
	b.Gatewayd = "/no/such/gatewayd"
	name := labName(t, "missing")
	_, err := Up(t.Context(), UpOptions{Topology: load(t, "dual-isp"), Name: name, Binaries: b}, nil)
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "make build") {
		t.Errorf("error is %v", err)
	}
	if dirOf(name).exists() {
		t.Error("a refused up leaves a directory")
	}
}

// TestDaemonThatDoesNotStayUp is told with its last words.
func TestDaemonThatDoesNotStayUp(t *testing.T) {
	needRoot(t)
	b := kind.DefaultBinaries()
	b.Gatewayd = filepath.Join(t.TempDir(), "gatewayd")
	if err := os.WriteFile(b.Gatewayd, []byte("#!/bin/sh\necho out of order >&2\nexit 3\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	name := labName(t, "crash")
	_, err := Up(t.Context(), UpOptions{Topology: load(t, "pair"), Name: name, Binaries: b, WaitReady: true, Timeout: 2 * time.Second}, nil)
	if err == nil || !strings.Contains(err.Error(), "gw1: gatewayd is restarting (exit status 3; see ") || !strings.Contains(err.Error(), ": out of order") {
		t.Errorf("error is %v", err)
	}
	assertGone(t, name)
}

func TestFailedBuildLeavesNothing(t *testing.T) {
	name := labName(t, "broken")
	topo := pair()
	topo.Nodes[0].Processes[1].Command = []string{"/no/such/program"}
	_, err := Up(t.Context(), UpOptions{Topology: topo, Name: name}, nil)
	if err == nil || !strings.Contains(err.Error(), "start once on n1") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
	assertGone(t, name)
}

func TestCancelledUpLeavesNothing(t *testing.T) {
	name := labName(t, "cancel")
	ctx, cancel := context.WithCancel(t.Context())
	var stages []string
	_, err := Up(ctx, UpOptions{Topology: topologies.Line(50, "cable"), Name: name}, func(p Progress) {
		stages = append(stages, p.Stage)
		if p.Stage == "links" {
			cancel()
		}
	})
	if !errors.Is(err, context.Canceled) || !slices.Contains(stages, "namespaces") {
		t.Errorf("error is %v, stages %v", err, stages)
	}
	assertGone(t, name)
}
