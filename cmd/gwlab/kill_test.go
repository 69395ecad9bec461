package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledAnywhere kills gwlab or its supervisor at random instants of up,
// run and down. A sweep removes what is left, and the next up works.
func TestKilledAnywhere(t *testing.T) {
	needRoot(t)
	seed, instants := uint64(time.Now().UnixNano()), 20
	if text := os.Getenv("GWLAB_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	if testing.Short() {
		instants = 4
	}
	t.Logf("repeat with GWLAB_SEED=%d", seed)
	draw := rand.New(rand.NewPCG(seed, 0))
	verbs, lasts := []string{"up", "run", "up", "down"}, durations(t)
	for i := range instants {
		verb, victim := verbs[i%len(verbs)], []string{"gwlab", "supervisor"}[(i/len(verbs)+i)%2]
		at := time.Duration(draw.Int64N(int64(lasts[verb])))
		t.Run(fmt.Sprintf("%d %s of %s after %v", i, victim, verb, at.Round(100*time.Microsecond)), func(t *testing.T) {
			killed(t, verb, victim, at)
		})
	}
}

// durations is how long each command works here, as far as one try tells.
func durations(t *testing.T) map[string]time.Duration {
	t.Helper()
	dir, name := desk(t), labName(t, "timed")
	lasts := map[string]time.Duration{}
	for _, args := range [][]string{{"up", "-t", "small.topo.yaml", "--name", name}, {"down", name}, {"run", "dark.scenario.yaml"}} {
		begin := time.Now()
		if got := gwlab(t, dir, args...); got.code != 0 && args[0] != "run" {
			t.Fatalf("gwlab %v: exit code %d\n%s", args, got.code, got.err)
		}
		lasts[args[0]] = time.Since(begin)
	}
	t.Logf("on this machine: %v", lasts)
	return lasts
}

func killed(t *testing.T, verb, victim string, at time.Duration) {
	dir, before := desk(t), host(t)
	name := labName(t, "killed")
	args := []string{"up", "-t", "small.topo.yaml", "--name", name}
	switch verb {
	case "run":
		args = []string{"run", "dark.scenario.yaml"}
	case "down":
		must(t, dir, args...)
		args = []string{"down", name}
	}
	r := start(t, dir, args...)
	if verb == "run" {
		name = runLab(r)
	}
	time.Sleep(at) // the instant is what is tested
	hit := kill(t, r, name, victim)
	got := r.end(t)
	t.Logf("gwlab ended with %d: %s", got.code, strings.ReplaceAll(got.err, "\n", " | "))

	must(t, dir, "sweep")
	if verb != "run" && (victim == "gwlab" || !hit) && isUp(t, dir, name) {
		must(t, dir, "down", name) // it was up already, or not yet asked to go
	}
	gone(t, name)
	if after := host(t); after != before {
		t.Errorf("the machine itself changed\nbefore %s\nafter %s", before, after)
	}
	must(t, dir, "up", "-t", "small.topo.yaml", "--name", name)
	must(t, dir, "down", name)
	if left := remains(name); len(left) > 0 {
		t.Errorf("left after the next up and down: %v", left)
	}
}

// kill ends one of the two at once; false when it was not there any more, or
// not yet.
func kill(t *testing.T, r *running, lab, victim string) bool {
	t.Helper()
	if victim == "gwlab" {
		return r.cmd.Process.Kill() == nil
	}
	pid := supervisorOf(lab)
	return pid > 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

// supervisorOf reads which process is a lab's supervisor; 0 when there is none.
func supervisorOf(lab string) int {
	text, err := os.ReadFile("/run/gwlab/" + lab + "/pid")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(text), " ")
	pid, err := strconv.Atoi(first)
	argv, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil || !strings.Contains(string(argv), "supervise\x00"+lab) {
		return 0
	}
	return pid
}

// TestSupervisorKilledInEveryPhase kills the supervisor in every phase of a run.
func TestSupervisorKilledInEveryPhase(t *testing.T) {
	needRoot(t)
	for _, phase := range []string{"warming up", " steady ", " failure ", " repaired "} {
		t.Run(strings.TrimSpace(phase), func(t *testing.T) {
			dir := desk(t)
			r := start(t, dir, "run", "dark.scenario.yaml")
			if !r.await(phase) {
				t.Fatalf("it ended before\n%s", r.said)
			}
			name := runLab(r)
			if !kill(t, r, name, "supervisor") {
				t.Fatal("no supervisor to kill")
			}
			if got := r.end(t); got.code != exitBroken || got.err == "" {
				t.Errorf("exit code %d, want %d\n%s%s", got.code, exitBroken, got.out, got.err)
			}
			must(t, dir, "sweep")
			if left := remains(name); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		})
	}
}

// host is what the root namespace has: links, addresses, routes, rules,
// filters.
func host(t testing.TB) string {
	t.Helper()
	var all strings.Builder
	for _, line := range []string{
		"ip -j -d link", "ip -j addr", "ip -j -4 route show table all", "ip -j -6 route show table all",
		"ip -j -4 rule", "ip -j -6 rule", "ip nexthop", "nft list ruleset",
	} {
		words := strings.Fields(line)
		out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		fmt.Fprintf(&all, "# %s\n%s\n", line, lifetimes.ReplaceAll(out, nil))
	}
	return all.String()
}
