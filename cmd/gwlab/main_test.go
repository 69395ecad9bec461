package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// built is the directory with gwlab and gatewayd as users have them.
var built string

// mark is carried by every process that the tests start, and by what those
// start in turn.
var mark = fmt.Sprintf("GWLAB_TEST_MARK=%d", os.Getpid())

// prefix of the names of all labs of these tests.
var prefix = fmt.Sprintf("gwt-cmd-%d", os.Getpid())

func TestMain(m *testing.M) { os.Exit(withPrograms(m)) }

func withPrograms(m *testing.M) int {
	dir, err := os.MkdirTemp("", "gwlab-test-")
	if err == nil {
		defer os.RemoveAll(dir)    // the system's own directory for such things
		err = os.Chmod(dir, 0o755) // other users run it, too
	}
	if err == nil {
		var out []byte
		if out, err = exec.Command("go", "build", "-o", dir+"/", "gwlab/cmd/gwlab", "gwlab/cmd/gatewayd").CombinedOutput(); err != nil {
			err = fmt.Errorf("%w\n%s", err, out)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	built = dir
	code := m.Run()
	if left := remains(prefix); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "left behind by the tests:", left)
		return 1
	}
	return code
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

// ended is what a command did.
type ended struct {
	code     int // -1 when a signal killed it
	out, err string
}

// command prepares gwlab as a process of its own, with no terminal.
func command(dir string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(built, "gwlab"), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), mark)
	return cmd
}

// gwlab runs the program to its end.
func gwlab(t testing.TB, dir string, args ...string) ended {
	t.Helper()
	return finish(t, command(dir, args...))
}

func finish(t testing.TB, cmd *exec.Cmd) ended {
	t.Helper()
	var out, bad bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &bad
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hung := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }) // it may have ended
	defer hung.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return ended{cmd.ProcessState.ExitCode(), out.String(), bad.String()}
}

// must runs the program and wants it to succeed.
func must(t testing.TB, dir string, args ...string) string {
	t.Helper()
	got := gwlab(t, dir, args...)
	if got.code != 0 {
		t.Fatalf("gwlab %s: exit code %d\n%s%s", strings.Join(args, " "), got.code, got.out, got.err)
	}
	return got.out
}

// running is gwlab while it works.
type running struct {
	cmd   *exec.Cmd
	lines chan string // of its error stream; closed at the end
	said  *strings.Builder
	out   *bytes.Buffer
	done  chan struct{}
}

// start starts gwlab in a process group of its own, as a shell does.
func start(t testing.TB, dir string, args ...string) *running {
	t.Helper()
	r := &running{cmd: command(dir, args...), lines: make(chan string, 1000), said: &strings.Builder{}, out: &bytes.Buffer{}, done: make(chan struct{})}
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	r.cmd.Stdout = r.out
	stderr, err := r.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		for s := bufio.NewScanner(io.TeeReader(stderr, r.said)); s.Scan(); {
			r.lines <- s.Text()
		}
		close(r.lines)
		r.cmd.Wait() // the state tells
		close(r.done)
	}()
	t.Cleanup(func() {
		r.cmd.Process.Kill() // it has ended, or the test failed
		<-r.done
	})
	return r
}

// await returns once gwlab has said what matches; false when it ended before.
func (r *running) await(want string) bool {
	matches := regexp.MustCompile(want)
	for line := range r.lines {
		if matches.MatchString(line) {
			return true
		}
	}
	return false
}

// end waits for gwlab's own end.
func (r *running) end(t testing.TB) ended {
	t.Helper()
	select {
	case <-r.done:
	case <-time.After(time.Minute):
		r.cmd.Process.Kill() // it may have ended
		<-r.done
		t.Fatalf("gwlab hangs\n%s", r.said)
	}
	return ended{r.cmd.ProcessState.ExitCode(), r.out.String(), r.said.String()}
}

// labName is a name for a lab of the test's own, which is gone after it.
func labName(t testing.TB, suffix string) string {
	t.Helper()
	needRoot(t)
	name := prefix + "-" + suffix
	t.Cleanup(func() {
		if left := remains(name); len(left) > 0 {
			t.Errorf("left of lab %s: %v", name, left)
			gwlab(t, t.TempDir(), "down", name)
		}
	})
	return name
}

// remains lists all that a machine has of the labs whose names begin so:
// namespaces, mounts, files and processes; and any process of these tests.
func remains(lab string) []string {
	var left []string
	for _, glob := range []string{"/run/netns/gwlab-" + lab + "*", "/run/gwlab/" + lab + "*"} {
		found, _ := filepath.Glob(glob) // the pattern is well formed
		left = append(left, found...)
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		left = append(left, err.Error())
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, "/gwlab-"+lab) || strings.Contains(line, "/run/gwlab/"+lab) {
			left = append(left, "mount "+strings.TrimSpace(line))
		}
	}
	all, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range all {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		env, err := os.ReadFile(dir + "/environ")
		if err != nil || pid == os.Getpid() {
			continue
		}
		for v := range strings.SplitSeq(string(env), "\x00") {
			if v == mark || strings.HasPrefix(v, "GWLAB_LAB="+lab) {
				argv, _ := os.ReadFile(dir + "/cmdline")
				left = append(left, fmt.Sprintf("process %d with %s (%s)", pid, v, bytes.ReplaceAll(argv, []byte{0}, []byte(" "))))
				break
			}
		}
	}
	return left
}

// gone waits until nothing of a lab is left.
func gone(t testing.TB, lab string) {
	t.Helper()
	var left []string
	if !eventually(10*time.Second, func() bool { left = remains(lab); return len(left) == 0 }) {
		t.Errorf("left of lab %s: %v", lab, left)
	}
}

func eventually(limit time.Duration, ok func() bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// tiny is two nodes on a cable, no daemon that routes: up at once.
var tiny = "name: " + prefix + `
topology:
  nodes:
    a: {kind: exec, asn: 65001, processes: [{name: idle, command: [sleep, "1000"], restart: always}]}
    b: {kind: host}
  links:
    - {endpoints: ["a:b", "b:a"], ipv4: [198.18.9.0/31, 198.18.9.1/31]}
`

// small has a gateway and an ISP that run gatewayd, and a host at each end.
var small = "name: " + prefix + `
topology:
  nodes:
    gw: {kind: gateway, originate: [203.0.113.0/24]}
    isp: {kind: router, role: isp, originate: [192.0.2.0/24]}
    host: {kind: host}
    srv: {kind: host}
  links:
    - endpoints: ["gw:isp", "isp:gw"]
    - endpoints: ["gw:host", "host:gw"]
    - endpoints: ["isp:srv", "srv:isp"]
`

// darkness is a short scenario on tiny.
const darkness = `id: DARK-01
about: The only wire goes dark.
topology: tiny.topo.yaml
flows:
  out: {from: b, to: a, rate: 200pps, count: 2, family: ipv4}
timeline:
  - {at: 0s, phase: steady}
  - {at: 300ms, phase: failure, inject: {kind: link.blackhole, link: "a:b", dir: b-to-a}}
  - {at: 600ms, phase: repaired, heal: all}
  - {after: converged, hold: 300ms, phase: end}
expect:
  steady:   [{metric: loss, max: 0}]
  repaired: [{metric: route_loc, max: 30s}]
`

// desk is a directory with the files above.
func desk(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "tiny.topo.yaml", tiny)
	write(t, dir, "small.topo.yaml", small)
	write(t, dir, "dark.scenario.yaml", darkness)
	return dir
}

func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
