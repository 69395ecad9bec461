package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestExecReturnsExitCode(t *testing.T) {
	sb := sandbox(t)
	target := Target{Lab: "prot", Node: "n1", Namespace: sb.cfg.Namespace, InitPid: sb.Pid()}
	for argv, want := range map[string]int{"exit 0": 0, "exit 7": 7, "kill -9 $$": 137} {
		if code, err := Exec(t.Context(), target, []string{"sh", "-c", argv}, Stdio{}); err != nil || code != want {
			t.Errorf("%s: code %d, %v; want %d", argv, code, err, want)
		}
	}
	if _, err := Exec(t.Context(), target, []string{"/no/such"}, Stdio{}); err == nil {
		t.Error("a missing program is no error")
	}
	if _, err := Exec(t.Context(), target, nil, Stdio{}); err == nil {
		t.Error("no command is no error")
	}
}

func TestExecFindsTools(t *testing.T) {
	sb := sandbox(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "gwt-tool"), []byte("#!/bin/sh\necho tool $0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	target := Target{Lab: "prot", Node: "n1", Namespace: sb.cfg.Namespace, InitPid: sb.Pid(), Tools: dir}
	for _, argv := range [][]string{{"gwt-tool"}, {"sh", "-c", "gwt-tool"}} {
		var out bytes.Buffer
		if code, err := Exec(t.Context(), target, argv, Stdio{Out: &out}); err != nil || code != 0 || !strings.HasPrefix(out.String(), "tool ") {
			t.Errorf("%v: code %d, %v, output %q", argv, code, err, out.String())
		}
	}
	target.Tools = ""
	if _, err := Exec(t.Context(), target, []string{"gwt-tool"}, Stdio{}); err == nil {
		t.Error("it is found without tools")
	}
}

func TestExecWithoutSandbox(t *testing.T) {
	sb := sandbox(t)
	var out bytes.Buffer
	code, err := Exec(t.Context(), Target{Lab: "prot", Node: "n1", Namespace: sb.cfg.Namespace},
		[]string{"ip", "-br", "link"}, Stdio{Out: &out})
	if err != nil || code != 0 || strings.Count(out.String(), "\n") != 1 {
		t.Errorf("code %d, %v, output %q", code, err, out.String())
	}
}

func TestExecOnTerminal(t *testing.T) {
	sb := sandbox(t)
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("needs script(1) for a terminal")
	}
	self, _ := os.Executable()
	cmd := exec.Command("script", "-qec", strings.Join([]string{self, "-test.run=TestInsideTerminal", "-test.v"}, " "), "/dev/null")
	cmd.Env = append(os.Environ(), fmt.Sprintf("PROC_TEST_TARGET=%s,%d", sb.cfg.Namespace, sb.Pid()))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "on a terminal in n1") || !strings.Contains(string(out), "--- PASS") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInsideTerminal is run by TestExecOnTerminal with a terminal.
func TestInsideTerminal(t *testing.T) {
	path, pid, ok := strings.Cut(os.Getenv("PROC_TEST_TARGET"), ",")
	if !ok {
		t.Skip("part of TestExecOnTerminal")
	}
	n, _ := strconv.Atoi(pid)
	for range 2 { // the terminal comes back after the first
		code, err := Exec(t.Context(), Target{Lab: "prot", Node: "n1", Namespace: path, InitPid: n},
			[]string{"sh", "-c", "tty -s && echo on a terminal in $(hostname)"}, Stdio{os.Stdin, os.Stdout, os.Stderr})
		if err != nil || code != 0 {
			t.Errorf("code %d, %v", code, err)
		}
	}
}

// What a node's programs leave in /var/tmp is gone with the node and never
// seen outside.
func TestScratchStaysInside(t *testing.T) {
	sb := sandbox(t)
	target := Target{Lab: "prot", Node: "n1", Namespace: sb.cfg.Namespace, InitPid: sb.Pid()}
	file := fmt.Sprintf("/var/tmp/gwt-proc-%d", os.Getpid())
	code, err := Exec(t.Context(), target, []string{"sh", "-c", "echo x > " + file + " && test -s " + file}, Stdio{})
	if err != nil || code != 0 {
		t.Fatalf("write inside: code %d, %v", code, err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is visible outside: %v", file, err)
	}
}
