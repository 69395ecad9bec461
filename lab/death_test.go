package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
	"gwlab/topologies"
)

// supervisorOf is the running supervisor of a lab.
func supervisorOf(t *testing.T, name string) int {
	t.Helper()
	id, ok := dirOf(name).supervisor()
	if !ok {
		t.Fatalf("lab %s has no supervisor", name)
	}
	return id.Pid
}

func TestDownWithDeadSupervisor(t *testing.T) {
	l := up(t, pair(), "dead")
	pid := supervisorOf(t, l.Name())
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the lab counts as dead", func() bool {
		live, err := dirOf(l.Name()).alive()
		return err == nil && !live
	})
	infos, err := List(t.Context())
	i := slices.IndexFunc(infos, func(i Info) bool { return i.Name == l.Name() })
	if err != nil || i < 0 || infos[i].State != Dead {
		t.Errorf("list: %+v, %v", infos, err)
	}
	if _, err := Attach(t.Context(), l.Name()); err == nil || !strings.Contains(err.Error(), "gwlab down") {
		t.Errorf("attach to a dead lab: %v", err)
	}
	for range 2 {
		if err := Down(t.Context(), l.Name(), nil); err != nil {
			t.Fatal(err)
		}
		assertGone(t, l.Name())
	}
}

func TestTerminatedSupervisorTakesItsLabDown(t *testing.T) {
	l := up(t, pair(), "term")
	if err := unix.Kill(supervisorOf(t, l.Name()), unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	// The directory goes first; the supervisor itself ends a moment later.
	within(t, 5*time.Second, "the lab is gone", func() bool {
		left, err := processes()
		return err == nil && len(left[l.Name()]) == 0 && !dirOf(l.Name()).exists()
	})
	assertGone(t, l.Name())
}

func TestDownByTwoAtOnce(t *testing.T) {
	l := up(t, pair(), "both")
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if err := Down(context.Background(), l.Name(), nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	assertGone(t, l.Name())
}

// TestUpAndDownAtOnce wants nothing but a whole lab or none, whoever wins.
func TestUpAndDownAtOnce(t *testing.T) {
	name := labName(t, "race")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			l, err := Up(context.Background(), UpOptions{Topology: pair(), Name: name}, nil)
			if err == nil {
				l.Close() // it holds no lease
			}
		})
		wg.Go(func() {
			if err := Down(context.Background(), name, nil); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if removed, err := Sweep(context.Background(), false); err != nil || slices.Contains(removed, name) {
				t.Errorf("sweep removed %v, %v", removed, err)
			}
		})
	}
	wg.Wait()
}

func TestUpAfterDeadLabOfThatName(t *testing.T) {
	l := up(t, pair(), "again")
	if err := unix.Kill(supervisorOf(t, l.Name()), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the lab counts as dead", func() bool {
		live, err := dirOf(l.Name()).alive()
		return err == nil && !live
	})
	next, err := Up(t.Context(), UpOptions{Topology: pair(), Name: l.Name()}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := next.Down(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestDownWithHungSupervisor(t *testing.T) {
	l := up(t, pair(), "hung")
	pid := supervisorOf(t, l.Name())
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), l.Name(), nil); err != nil {
		t.Fatal(err)
	}
	assertGone(t, l.Name())
}

func TestDownWithoutDirectory(t *testing.T) {
	l := up(t, pair(), "lost")
	if err := os.RemoveAll(string(dirOf(l.Name()))); err != nil {
		t.Fatal(err)
	}
	if err := Down(t.Context(), l.Name(), nil); err != nil {
		t.Fatal(err)
	}
	assertGone(t, l.Name())
}

func TestDownWithPartOfTheDirectory(t *testing.T) {
	for _, file := range []string{"namespaces", "pid", "gwlab.sock", "lock"} {
		t.Run(file, func(t *testing.T) {
			l := up(t, pair(), "part")
			if err := os.Remove(dirOf(l.Name()).path(file)); err != nil {
				t.Fatal(err)
			}
			if err := Down(t.Context(), l.Name(), nil); err != nil {
				t.Fatal(err)
			}
			assertGone(t, l.Name())
		})
	}
}

// starting runs the test binary as a command that brings an owned lab up.
func starting(t *testing.T, name string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "test-up", name)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	cmd.Wait() // killed
}

func TestOwnedLabGoesWithItsOwner(t *testing.T) {
	for _, at := range []string{"namespaces", "links", "nodes", "up"} {
		t.Run(at, func(t *testing.T) {
			name := labName(t, "owned")
			cmd, out := starting(t, name)
			seen := ""
			for !strings.HasPrefix(seen, at) && out.Scan() {
				seen = out.Text()
			}
			kill(t, cmd)
			if !strings.HasPrefix(seen, at) {
				t.Fatalf("it ended with %q before %q", seen, at)
			}
			within(t, 10*time.Second, "the supervisor took the lab down by itself", func() bool { return !dirOf(name).exists() })
		})
	}
}

func TestReleasedLabStays(t *testing.T) {
	name := labName(t, "released")
	l, err := Up(t.Context(), UpOptions{Topology: pair(), Name: name, Owned: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s, err := l.Status(t.Context()); err != nil || !s.Owned {
		t.Errorf("status %+v, %v", s, err)
	}
	for range 2 {
		if err := l.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	again, err := Attach(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close() // it holds no lease
	within(t, 2*time.Second, "the release is noted", func() bool {
		s, err := again.Status(t.Context())
		return err == nil && !s.Owned
	})
}

func TestClosedOwnedLabGoes(t *testing.T) {
	name := labName(t, "closed")
	l, err := Up(t.Context(), UpOptions{Topology: pair(), Name: name, Owned: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the lab is gone", func() bool { return !dirOf(name).exists() })
}

// instants is how many random instants a killing test tries.
func instants(t *testing.T) int {
	if os.Getenv("GWLAB_LONG") == "1" {
		return 20
	}
	return 4
}

// TestKilledAnywhere kills the command or the supervisor at random instants
// of the lab's making, life and end.
func TestKilledAnywhere(t *testing.T) {
	needRoot(t)
	for i := range instants(t) {
		for _, victim := range []string{"command", "supervisor"} {
			t.Run(fmt.Sprintf("%s-%d", victim, i), func(t *testing.T) {
				name := labName(t, fmt.Sprintf("kill-%s-%d", victim, i))
				cmd, out := starting(t, name)
				go func() {
					for out.Scan() {
					}
				}()
				time.Sleep(time.Duration(rand.IntN(60)) * time.Millisecond)
				if id, ok := dirOf(name).supervisor(); ok && victim == "supervisor" {
					unix.Kill(id.Pid, unix.SIGKILL) // it may have ended
				} else {
					kill(t, cmd)
				}
				time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
				if err := Down(t.Context(), name, nil); err != nil {
					t.Error(err)
				}
				kill(t, cmd)
				assertGone(t, name)
				if strays, err := Sweep(t.Context(), false); err != nil || slices.Contains(strays, name) {
					t.Errorf("sweep after down found %v, %v", strays, err)
				}
				l, err := Up(t.Context(), UpOptions{Topology: pair(), Name: name}, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := l.Down(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestKilledDuringDown kills the supervisor while it takes the lab down.
func TestKilledDuringDown(t *testing.T) {
	for i := range instants(t) {
		l := up(t, topologies.Line(20, "cable"), fmt.Sprintf("killdown-%d", i))
		pid := supervisorOf(t, l.Name())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := Down(context.Background(), l.Name(), nil); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Duration(rand.IntN(15)) * time.Millisecond)
		unix.Kill(pid, unix.SIGKILL) // it may have ended
		wg.Wait()
		assertGone(t, l.Name())
	}
}

func TestTwoLabsNeverMeet(t *testing.T) {
	// One name is the beginning of the other, and so are the namespaces'.
	a, b := pair(), pair()
	b.Nodes[1].Name = "n2"
	var wg sync.WaitGroup
	hands := make([]*Lab, 2)
	names := []string{labName(t, "two"), labName(t, "two-x")}
	for i, topo := range []*topologies.Topology{a, b} {
		wg.Go(func() {
			var err error
			if hands[i], err = Up(t.Context(), UpOptions{Topology: topo, Name: names[i]}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	defer hands[1].Close() // it holds no lease
	if err := os.Remove(dirOf(names[0]).path("namespaces")); err != nil {
		t.Fatal(err)
	}
	if err := hands[0].Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !ping(t, hands[1]) {
		t.Error("the second lab suffered from the first one's end")
	}
	if removed, err := Sweep(t.Context(), false); err != nil || slices.ContainsFunc(removed, func(r string) bool { return strings.Contains(r, names[1]) }) {
		t.Errorf("sweep removed %v, %v", removed, err)
	}
	if !ping(t, hands[1]) {
		t.Error("the second lab suffered from a sweep")
	}
}

func TestNamespaceTakenByAnotherLab(t *testing.T) {
	one := up(t, pair(), "ns")
	other := pair()
	other.Nodes[1].Name = "x-n1"
	// "ns" with node "x-n1" is named like "ns-x" with node "n1".
	l := up(t, pair(), "ns-x")
	if err := one.Down(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := Up(t.Context(), UpOptions{Topology: other, Name: one.Name()}, nil)
	if err == nil || !strings.Contains(err.Error(), "belongs to lab "+l.Name()) || strings.Contains(err.Error(), "\n") {
		t.Errorf("error is %v", err)
	}
	if dirOf(one.Name()).exists() {
		t.Error("a refused up leaves a directory")
	}
}

func TestSweep(t *testing.T) {
	living, dead := up(t, pair(), "sweep-living"), up(t, pair(), "sweep-dead")
	stray := fmt.Sprintf("gwlab-gwt-stray-%d-n1", os.Getpid())
	if err := netns.Create(stray); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { netns.Delete(stray) }) // swept
	if err := unix.Kill(supervisorOf(t, dead.Name()), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	within(t, 5*time.Second, "the lab counts as dead", func() bool {
		live, err := dirOf(dead.Name()).alive()
		return err == nil && !live
	})
	removed, err := Sweep(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for what, want := range map[string]bool{living.Name(): false, dead.Name(): true, stray: true} {
		if slices.Contains(removed, what) != want {
			t.Errorf("sweep removed %v; %s should be among them: %v", removed, what, want)
		}
	}
	if !ping(t, living) {
		t.Error("the living lab suffered")
	}
}
