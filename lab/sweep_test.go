package lab

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gwlab/gateway/bfd"
	"gwlab/lab/netns"
	"gwlab/lab/proc"
)

// TestListByAnotherUser looks at a living lab without being root.
func TestListByAnotherUser(t *testing.T) {
	l := up(t, pair(), "other-user")
	cmd := exec.Command(readable(t), "test-list")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("list as another user: %v\n%s", err, out)
	}
	var infos []Info
	if err := json.Unmarshal(out, &infos); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for _, i := range infos {
		if i.Name != l.Name() {
			continue
		}
		if i.State != Unknown || i.Pid != supervisorOf(t, l.Name()) || strings.Contains(string(out), "0001-01-01") {
			t.Errorf("the lab is shown as %+v", i)
		}
		return
	}
	t.Errorf("the lab is not among %s", out)
}

// readable is a copy of the test's program that every user may run.
func readable(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "gwt-lab-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) // a test's own
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close() // opened for reading only
	path := filepath.Join(dir, "lab.test")
	copied, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(copied, self); err != nil {
		t.Fatal(err)
	}
	if err := copied.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHowTheSupervisorEndedIsTold(t *testing.T) {
	ours, theirs, err := leasePair()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ours.Close() }) // a test's own
	s := &starter{name: "gwt-nobody", lease: ours, ended: make(chan struct{}), how: "signal: killed"}
	close(s.ended)
	if err := theirs.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.follow(t.Context(), func(Progress) {}); err == nil || !strings.HasSuffix(err.Error(), "its supervisor ended (signal: killed)") {
		t.Errorf("follow: %v", err)
	}
}

func TestSessionsOfGatewayd(t *testing.T) {
	for _, c := range []struct {
		bgp string
		bfd bfd.State
		up  bool
	}{{"Established", bfd.Up, true}, {"OpenSent", bfd.Init, false}, {"Idle", bfd.Down, false}} {
		word, err := c.bfd.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var s daemonStatus
		text := `{"peers":[{"address":"198.18.0.2","state":"` + c.bgp + `"}],"bfd":[{"key":{"peer":"198.18.0.2"},"state":"` + string(word) + `"}]}`
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatal(err)
		}
		got := s.sessions()
		if len(got) != 2 || got[0].Up != c.up || got[1].Up != c.up || got[1].State != string(word) {
			t.Errorf("%s: %+v", text, got)
		}
	}
}

// TestSweepWaitsForALabThatStops kills an owner and sweeps at once, while the
// supervisor may not even have noticed.
func TestSweepWaitsForALabThatStops(t *testing.T) {
	for _, at := range []string{"nodes", "up"} {
		t.Run(at, func(t *testing.T) {
			name := labName(t, "stopping")
			cmd, out := starting(t, name)
			for out.Scan() && !strings.HasPrefix(out.Text(), at) {
			}
			kill(t, cmd)
			if _, err := Sweep(t.Context(), false); err != nil {
				t.Fatal(err)
			}
			assertGone(t, name)
		})
	}
}

// TestLabsElsewhereAreLeftAlone starts a process of a lab of this machine and
// one of a lab that only a container sees, in namespaces as a container has.
func TestLabsElsewhereAreLeftAlone(t *testing.T) {
	needRoot(t)
	name := labName(t, "elsewhere")
	here := tagged(t, name, rootTag(), syscall.CLONE_NEWPID|syscall.CLONE_NEWNS)
	beside := tagged(t, name, "1:1", 0)
	there := tagged(t, name, "1:1", syscall.CLONE_NEWPID|syscall.CLONE_NEWNS)
	old := tagged(t, name, "", syscall.CLONE_NEWPID|syscall.CLONE_NEWNS)
	if err := netns.Create(namespaceName(name, "n1")); err != nil {
		t.Fatal(err)
	}
	if _, err := Sweep(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	for what, p := range map[string]struct {
		cmd  *exec.Cmd
		left bool
	}{"here": {here, false}, "beside": {beside, false}, "there": {there, true}, "without a tag": {old, true}} {
		if left := syscall.Kill(p.cmd.Process.Pid, 0) == nil && !zombie(t, p.cmd.Process.Pid); left != p.left {
			t.Errorf("the process %s is left: %t, want %t", what, left, p.left)
		}
	}
	if labOf(there.Process.Pid) != "" {
		t.Error("a lab in a container is taken for one of this machine")
	}
}

// tagged is a process that carries a lab's variables.
func tagged(t *testing.T, lab, root string, flags uintptr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("sleep", "60")
	cmd.Env = []string{proc.LabEnv + "=" + lab, proc.RootEnv + "=" + root}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill() // ended already is as good
		cmd.Wait()         // killed
	})
	within(t, 5*time.Second, "the process runs its program", func() bool {
		env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", cmd.Process.Pid))
		return err == nil && strings.Contains(string(env), proc.LabEnv+"="+lab)
	})
	return cmd
}

// zombie reports whether a process has ended and nobody has asked how.
func zombie(t *testing.T, pid int) bool {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(text), ") Z ")
}
