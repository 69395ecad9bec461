package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gwlab/reports/convergence"
)

// stagesOfUp are what gwlab says while it brings a lab up.
var stagesOfUp = []string{"making namespaces", "laying cables", "starting nodes", "waiting for every session"}

// runLab is the name of the lab that a `gwlab run` builds.
func runLab(r *running) string { return prefix + "-" + strconv.Itoa(r.cmd.Process.Pid) }

// both are the signals that ask a program to end.
var both = map[string]syscall.Signal{"SIGINT": syscall.SIGINT, "SIGTERM": syscall.SIGTERM}

func TestSignalDuringUp(t *testing.T) {
	dir := desk(t)
	for signame, sig := range both {
		for _, stage := range stagesOfUp {
			t.Run(signame+" while "+stage, func(t *testing.T) {
				name := labName(t, "sigup")
				r := start(t, dir, "up", "-t", "small.topo.yaml", "--name", name)
				if !r.await(stage) {
					t.Fatalf("it ended before\n%s", r.said)
				}
				if err := r.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				got := r.end(t)
				if got.code == 0 { // the sessions were quicker than the signal
					must(t, dir, "down", name)
				} else if got.code != exitInvalid || !strings.Contains(got.err, "gwlab: interrupted: ") {
					t.Errorf("exit code %d, want %d\n%s", got.code, exitInvalid, got.err)
				}
				if left := remains(name); len(left) > 0 { // at once, not after a while
					t.Errorf("left: %v", left)
				}
			})
		}
	}
}

func TestSignalDuringRun(t *testing.T) {
	needRoot(t)
	for signame, sig := range both {
		for _, stage := range append(stagesOfUp[:3:3], "warming up", " steady ", " failure ", " repaired ") {
			t.Run(signame+" at "+strings.TrimSpace(stage), func(t *testing.T) {
				dir := desk(t)
				r := start(t, dir, "run", "dark.scenario.yaml")
				if !r.await(stage) {
					t.Fatalf("it ended before\n%s", r.said)
				}
				if err := r.cmd.Process.Signal(sig); err != nil {
					t.Fatal(err)
				}
				interrupted(t, dir, r, stage)
			})
		}
	}
}

// TestControlC signals the whole group, as a terminal does.
func TestControlC(t *testing.T) {
	needRoot(t)
	for _, stage := range []string{"starting nodes", "warming up", " steady ", " failure ", " repaired "} {
		t.Run(strings.TrimSpace(stage), func(t *testing.T) {
			dir := desk(t)
			r := start(t, dir, "run", "dark.scenario.yaml")
			if !r.await(stage) {
				t.Fatalf("it ended before\n%s", r.said)
			}
			if err := syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT); err != nil {
				t.Fatal(err)
			}
			interrupted(t, dir, r, stage)
		})
	}
}

// TestControlCTwice ends gwlab at once; its lab goes all the same.
func TestControlCTwice(t *testing.T) {
	needRoot(t)
	r := start(t, desk(t), "run", "dark.scenario.yaml")
	if !r.await(" failure ") {
		t.Fatalf("it ended before\n%s", r.said)
	}
	for running := true; running; {
		syscall.Kill(-r.cmd.Process.Pid, syscall.SIGINT) // it may have ended
		select {
		case <-r.done:
			running = false
		default:
		}
	}
	gone(t, runLab(r))
}

// interrupted checks how a run ended that was told to in a phase.
func interrupted(t *testing.T, dir string, r *running, stage string) {
	t.Helper()
	got := r.end(t)
	if got.code != exitInvalid || !strings.Contains(got.err, "gwlab: interrupted: ") {
		t.Errorf("exit code %d, want %d\n%s%s", got.code, exitInvalid, got.out, got.err)
	}
	if left := remains(runLab(r)); len(left) > 0 { // at once, not after a while
		t.Errorf("left: %v", left)
	}
	records, err := filepath.Glob(filepath.Join(dir, "runs/DARK-01/*/run.json"))
	if err != nil || len(records) > 1 {
		t.Fatal(records, err)
	}
	if len(records) == 0 {
		if strings.HasPrefix(stage, " ") {
			t.Errorf("no record of a run that was interrupted in phase%s", stage)
		}
		return // interrupted before there was anything to record
	}
	text, err := os.ReadFile(records[0])
	var run convergence.Run
	if err == nil {
		err = json.Unmarshal(text, &run)
	}
	if err != nil {
		t.Fatal(err)
	}
	injected, healed := 0, 0
	for _, in := range run.Injections {
		if !in.Heal {
			injected++
		} else if in.Error == "" {
			healed++
		}
	}
	want := 0
	if stage == " failure " || stage == " repaired " {
		want = 1
	}
	if injected != want || healed != want || run.Aborted == "" {
		t.Errorf("%d faults injected and %d healed, want %d of both; aborted: %q", injected, healed, want, run.Aborted)
	}
	if judged := gwlab(t, dir, "report", filepath.Dir(records[0])); judged.code != exitInvalid {
		t.Errorf("the record of an interrupted run is judged with exit code %d\n%s%s", judged.code, judged.out, judged.err)
	}
}
