package proc

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// changes collects what happened to processes.
type changes chan Change

func (c changes) add(ch Change) { c <- ch }

func (c changes) next(t *testing.T) Change {
	t.Helper()
	select {
	case ch := <-c:
		return ch
	case <-time.After(10 * time.Second):
		t.Fatal("no change of a process within 10 s")
		return Change{}
	}
}

func TestProcessLogsAndExits(t *testing.T) {
	sb := sandbox(t)
	ch := make(changes, 16)
	p, err := sb.Launch(t.Context(), Command{
		Name: "talk", Argv: []string{"sh", "-c", "echo $WORD; echo bad >&2; exit 3"}, Env: map[string]string{"WORD": "good"},
	}, ch.add)
	if err != nil {
		t.Fatal(err)
	}
	if c := ch.next(t); !c.Started || c.Process != "talk" || c.Node != "n1" {
		t.Errorf("first change is %+v", c)
	}
	if c := ch.next(t); c.Started || c.Reason != "exit status 3" {
		t.Errorf("second change is %+v", c)
	}
	if s := p.Status(); s.State != Exited || s.Reason != "exit status 3" || s.Pid != 0 {
		t.Errorf("status is %+v", s)
	}
	log, err := os.ReadFile(filepath.Join(sb.cfg.Dir, "talk.log"))
	if err != nil || string(log) != "good\nbad\n" {
		t.Errorf("log is %q, %v", log, err)
	}
}

func TestProcessRunsInsideAllNamespaces(t *testing.T) {
	sb := sandbox(t)
	p, err := sb.Launch(t.Context(), Command{Name: "idle", Argv: []string{"sleep", "600"}}, make(changes, 16).add)
	if err != nil {
		t.Fatal(err)
	}
	s := p.Status()
	if s.State != Running || s.NodePid <= 1 || s.NodePid == s.Pid {
		t.Errorf("status is %+v", s)
	}
	for _, kind := range allNamespaces {
		file := "/ns/" + namespaceFile(kind)
		want, _ := os.Readlink("/proc/" + strconv.Itoa(sb.Pid()) + file)
		got, err := os.Readlink("/proc/" + strconv.Itoa(s.Pid) + file)
		if err != nil || got != want {
			t.Errorf("%s: process is in %q, init in %q (%v)", file, got, want, err)
		}
	}
	var env []byte
	for deadline := time.Now().Add(5 * time.Second); len(env) == 0 && time.Now().Before(deadline); {
		env, err = os.ReadFile("/proc/" + strconv.Itoa(s.Pid) + "/environ") // empty until exec is done
	}
	for _, want := range []string{LabEnv + "=prot", RootEnv + "=1:2"} {
		if err != nil || !slices.Contains(strings.Split(string(env), "\x00"), want) {
			t.Errorf("environment lacks %s: %q, %v", want, env, err)
		}
	}
}

func TestRestartPolicy(t *testing.T) {
	sb := sandbox(t)
	ch := make(changes, 16)
	p, err := sb.Launch(t.Context(), Command{Name: "again", Argv: []string{"sleep", "600"}, Restart: true}, ch.add)
	if err != nil {
		t.Fatal(err)
	}
	first := ch.next(t)
	if err := unix.Kill(first.Pid, unix.SIGKILL); err != nil { // not through Signal: an accident
		t.Fatal(err)
	}
	if c := ch.next(t); c.Started || c.Reason != "signal: killed" {
		t.Errorf("after the accident: %+v", c)
	}
	second := ch.next(t)
	if !second.Started || second.Pid == first.Pid {
		t.Errorf("after the accident: %+v", second)
	}

	call, done, err := p.Signal(t.Context(), "KILL")
	if err != nil || call == 0 || done < call {
		t.Errorf("signal: %d … %d, %v", call, done, err)
	}
	if s := p.Status(); s.Pid != 0 || s.State != Held {
		t.Errorf("after KILL: %+v", p.Status())
	}
	if c := ch.next(t); c.Started {
		t.Errorf("a killed process was restarted: %+v", c)
	}
	if _, _, err := p.Signal(t.Context(), "SIGKILL"); err != nil {
		t.Errorf("second kill: %v", err)
	}
	if _, _, err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c := ch.next(t); !c.Started || c.Pid != p.Status().Pid {
		t.Errorf("after Start: %+v, %+v", c, p.Status())
	}
	if len(ch) != 0 {
		t.Errorf("unexpected change %+v", <-ch)
	}
}

func TestKillWhileWaitingForRestart(t *testing.T) {
	sb := sandbox(t)
	ch := make(changes, 64)
	p, err := sb.Launch(t.Context(), Command{Name: "crash", Argv: []string{"false"}, Restart: true}, ch.add)
	if err != nil {
		t.Fatal(err)
	}
	for p.Status().State != Waiting || p.Status().Failures < 3 {
		ch.next(t)
	}
	if _, _, err := p.Signal(t.Context(), "TERM"); err != nil {
		t.Fatal(err)
	}
	if s := p.Status(); s.State != Held {
		t.Errorf("status is %+v", s)
	}
}

func TestSignalLetsLive(t *testing.T) {
	sb := sandbox(t)
	ch := make(changes, 16)
	p, err := sb.Launch(t.Context(), Command{Name: "idle", Argv: []string{"sleep", "600"}}, ch.add)
	if err != nil {
		t.Fatal(err)
	}
	for _, sig := range []string{"STOP", "sigcont"} {
		if _, _, err := p.Signal(t.Context(), sig); err != nil || p.Status().State != Running {
			t.Errorf("%s: %v, %+v", sig, err, p.Status())
		}
	}
	if _, _, err := p.Signal(t.Context(), "NONSENSE"); err == nil || !strings.Contains(err.Error(), "is not a signal") {
		t.Errorf("error is %v", err)
	}
}

func TestMissingCommand(t *testing.T) {
	sb := sandbox(t)
	_, err := sb.Launch(t.Context(), Command{Name: "x", Argv: []string{"/no/such/program"}}, make(changes, 1).add)
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}

func TestBackoff(t *testing.T) {
	for n, want := range map[int]time.Duration{
		0: 0, 1: 0, 2: 100 * time.Millisecond, 3: 200 * time.Millisecond, 4: 400 * time.Millisecond,
		6: 1600 * time.Millisecond, 7: 2 * time.Second, 1000: 2 * time.Second,
	} {
		if got := backoff(n); got != want {
			t.Errorf("backoff(%d) = %v, want %v", n, got, want)
		}
	}
}
