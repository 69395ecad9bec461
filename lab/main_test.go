package lab

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"gwlab/lab/netns"
	"gwlab/lab/proc"
	"gwlab/topologies"
)

// TestMain lets the test binary be the supervisor and the inits of the labs
// that its tests bring up.
func TestMain(m *testing.M) {
	if mine, err := hidden(context.Background(), os.Args[1:]); mine {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "test-up" {
		os.Exit(testUp(os.Args[2]))
	}
	if len(os.Args) > 1 && os.Args[1] == "test-list" {
		os.Exit(testList())
	}
	os.Exit(m.Run())
}

// hidden runs one of the commands with which the program starts itself; mine
// is false for any other arguments.
func hidden(ctx context.Context, args []string) (mine bool, err error) {
	switch {
	case len(args) == 2 && args[0] == superviseArg:
		return true, Supervise(ctx, args[1])
	case len(args) == 1 && args[0] == nodeInitArg:
		return true, proc.NodeInit()
	}
	return false, nil
}

// testList prints what List shows to the user that the program runs as.
func testList() int {
	infos, err := List(context.Background())
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(infos)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("needs root, and GWLAB_REQUIRE_ROOT=1 forbids to skip")
	}
	t.Skip("needs root for namespaces and links")
}

// labName is a name for the test's own lab, cleaned up and checked after it.
func labName(t testing.TB, suffix string) string {
	t.Helper()
	needRoot(t)
	name := fmt.Sprintf("gwt-lab-%d-%s", os.Getpid(), suffix)
	t.Cleanup(func() {
		if err := Down(context.Background(), name, nil); err != nil {
			t.Error(err)
		}
		assertGone(t, name)
	})
	return name
}

// assertGone fails when anything of a lab is left: a namespace, a process,
// its directory.
func assertGone(t testing.TB, name string) {
	t.Helper()
	left, err := netns.List(namespaceName(name, ""))
	if err != nil || len(left) != 0 {
		t.Errorf("namespaces left of lab %s: %v %v", name, left, err)
	}
	if dirOf(name).exists() {
		t.Errorf("directory left of lab %s", name)
	}
	if all, err := processes(); err != nil || len(all[name]) != 0 {
		t.Errorf("processes left of lab %s: %v %v", name, all[name], err)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil || strings.Contains(string(mounts), string(dirOf(name))+"/") || strings.Contains(string(mounts), namespaceName(name, "")) {
		t.Errorf("mounts left of lab %s: %v\n%s", name, err, mounts)
	}
}

// pair is two nodes joined by a cable; n1 runs two processes, n2 none.
func pair() *topologies.Topology {
	t := topologies.Line(2, "cable")
	t.Name, t.Source = "pair", []byte("# made by a test\n")
	t.Nodes[0].Kind = "exec"
	t.Nodes[0].Processes = []topologies.Process{
		{Name: "idle", Command: []string{"sleep", "600"}, Restart: "always"},
		{Name: "once", Command: []string{"sleep", "601"}},
	}
	return t
}

// up brings a lab up for the test.
func up(t testing.TB, topo *topologies.Topology, suffix string) *Lab {
	t.Helper()
	name := labName(t, suffix)
	l, err := Up(t.Context(), UpOptions{Topology: topo, Name: name, Timeout: 20 * time.Second}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// host is what the root namespace looks like.
func host(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, args := range []string{"link", "addr", "-4 route show table all", "-6 route show table all", "-4 rule", "-6 rule", "-4 neigh", "nexthop"} {
		out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
		if err != nil {
			t.Fatalf("ip %s: %v\n%s", args, err, out)
		}
		fmt.Fprintf(&all, "# ip %s\n%s", args, out)
	}
	return all.String()
}

// within waits for a condition that another process brings about.
func within(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", limit, what)
		}
	}
}

// testUp is a command that brings a lab up, says so, and waits to be killed.
func testUp(name string) int {
	_, err := Up(context.Background(), UpOptions{Topology: pair(), Name: name, Owned: true}, func(p Progress) {
		fmt.Println(p.Stage, p.Done)
	})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println("up")
	select {}
}
