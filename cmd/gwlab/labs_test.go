package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// lifetimes of leased addresses and learned routes run down by themselves.
var lifetimes = regexp.MustCompile(`"(valid_life_time|preferred_life_time|expires|age)":\d+,?`)

// isUp tells whether `gwlab list` shows a lab as up.
func isUp(t testing.TB, dir, name string) bool {
	t.Helper()
	var labs []struct{ Name, State string }
	if err := json.Unmarshal([]byte(must(t, dir, "list", "-o", "json")), &labs); err != nil {
		t.Fatal(err)
	}
	for _, l := range labs {
		if l.Name == name {
			return l.State == "up"
		}
	}
	return false
}

func TestTwoLabsSideBySide(t *testing.T) {
	dir := desk(t)
	// One name is the beginning of the other.
	names := []string{labName(t, "two"), labName(t, "two-b")}
	var wg sync.WaitGroup
	results := make([]ended, 2)
	for i, name := range names {
		r := start(t, dir, "up", "-t", "small.topo.yaml", "--name", name)
		wg.Go(func() { results[i] = r.end(t) })
	}
	wg.Wait()
	for i, got := range results {
		if got.code != 0 {
			t.Fatalf("up %s: exit code %d\n%s", names[i], got.code, got.err)
		}
	}
	for _, args := range [][]string{{"status"}, {"down"}} { // which one?
		got := gwlab(t, dir, args...)
		if got.code != exitBadInput || !strings.Contains(got.err, "several labs are up, name one of ") {
			t.Errorf("gwlab %v: exit code %d\n%s%s", args, got.code, got.out, got.err)
		}
	}
	was := identity(t, must(t, dir, "status", names[1], "-o", "json"))
	ping := start(t, dir, "exec", names[1], "host", "--", "ping", "-q", "-i", "0.01", "-c", "60", "-W", "2", "192.0.2.2")
	for range 2 { // again is no error
		must(t, dir, "down", names[0])
	}
	must(t, dir, "sweep")
	for _, left := range remains(names[0]) {
		if !strings.Contains(left, names[1]) && !strings.Contains(left, mark) { // the ping
			t.Errorf("left of the first: %s", left)
		}
	}
	if got := ping.end(t); got.code != 0 || !strings.Contains(got.out, " 0% packet loss") {
		t.Errorf("traffic in the second lab: exit code %d\n%s%s", got.code, got.out, got.err)
	}
	if now := identity(t, must(t, dir, "status", names[1], "-o", "json")); now != was {
		t.Errorf("the second lab changed:\nwas %s\nis  %s", was, now)
	}
	must(t, dir, "down", names[1])
}

func TestLabsAreIsolated(t *testing.T) {
	name, dir := labName(t, "isolated"), desk(t)
	before := host(t)
	same := func(when string) {
		t.Helper()
		if now := host(t); now != before {
			t.Errorf("the root namespace %s:\nwas %s\nis  %s", when, before, now)
		}
	}
	must(t, dir, "up", "-t", "small.topo.yaml", "--name", name)
	same("with a lab up")
	for _, far := range []string{"192.0.2.2", "203.0.113.1"} {
		if got := gwlab(t, dir, "exec", name, "host", "--", "ping", "-q", "-c", "1", "-W", "2", far); got.code != 0 {
			t.Errorf("inside the lab %s is not reached\n%s%s", far, got.out, got.err)
		}
	}
	r := start(t, dir, "run", "dark.scenario.yaml")
	if !r.await(" failure ") {
		t.Fatalf("the run ended before\n%s", r.said)
	}
	same("with a fault in another lab")
	if got := r.end(t); !hasVerdict(got) {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
	must(t, dir, "down", name)
	same("after the labs")
}

func TestKeep(t *testing.T) {
	needRoot(t)
	t.Setenv("SUDO_USER", "")
	dir := desk(t)
	r := start(t, dir, "run", "dark.scenario.yaml", "--keep")
	name := runLab(r)
	got := r.end(t)
	t.Cleanup(func() { must(t, dir, "down", name); gone(t, name) })
	if !hasVerdict(got) || !strings.Contains(got.err, "lab "+name+" stays up: "+r.cmd.Path+" down "+name+"\n") || !isUp(t, dir, name) {
		t.Errorf("exit code %d\n%s%s", got.code, got.out, got.err)
	}
}
