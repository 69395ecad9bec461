package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gwlab/lab/netns"
)

// TestMain lets the test binary be the init of the sandboxes it makes, and
// the parent that a test kills.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "node-init" {
		if err := NodeInit(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if len(os.Args) > 1 && os.Args[1] == "test-parent" {
		os.Exit(testParent(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("needs root, and GWLAB_REQUIRE_ROOT=1 forbids to skip")
	}
	t.Skip("needs root for namespaces")
}

func testConfig(namespace, dir string) Config {
	self, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return Config{
		Lab: "prot", Node: "n1", Root: "1:2", Namespace: netns.Path(namespace), Dir: dir,
		Hosts: "198.18.0.1 n1\n198.18.0.2 n2\n", Init: []string{self, "node-init"},
	}
}

// sandbox starts one in a new namespace and takes it down after the test.
func sandbox(t *testing.T) *Sandbox {
	t.Helper()
	needRoot(t)
	name := fmt.Sprintf("gwt-proc-%d-%s", os.Getpid(), strings.ToLower(t.Name()))
	if err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := netns.Delete(name); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	s := NewSpawner()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	sb, err := s.Start(ctx, testConfig(name, t.TempDir()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sb.Kill(); err != nil {
			t.Error(err)
		}
	})
	return sb
}

// run executes a command in the sandbox and returns what it wrote.
func run(t *testing.T, sb *Sandbox, argv ...string) string {
	t.Helper()
	var out bytes.Buffer
	target := Target{Lab: sb.cfg.Lab, Node: sb.cfg.Node, Namespace: sb.cfg.Namespace, InitPid: sb.Pid()}
	code, err := Exec(t.Context(), target, argv, Stdio{Out: &out, Err: &out})
	if err != nil || code != 0 {
		t.Fatalf("exec %v: code %d, error %v, output %s", argv, code, err, out.String())
	}
	return out.String()
}

func TestSandboxHasItsOwnSystem(t *testing.T) {
	sb := sandbox(t)
	for _, c := range []struct {
		about string
		argv  []string
		want  string
	}{
		{"hostname", []string{"hostname"}, "n1\n"},
		{"hosts", []string{"cat", "/etc/hosts"}, "198.18.0.1 n1\n198.18.0.2 n2\n"},
		{"resolv.conf", []string{"cat", "/etc/resolv.conf"}, ""},
		{"run", []string{"ls", "/run"}, "lock\n"},
		{"devices", []string{"ls", "/sys/class/net"}, "lo\n"},
		{"init is pid 1", []string{"cat", "/proc/1/cmdline"}, strings.Join(sb.cfg.Init, "\x00") + "\x00"},
		{"no other namespace is held", []string{"grep", "-c", "-v", "/run/netns/", "/proc/self/mountinfo"}, ""},
	} {
		t.Run(c.about, func(t *testing.T) {
			got := run(t, sb, c.argv...)
			if c.want == "" && c.about == "no other namespace is held" {
				if mounts := run(t, sb, "cat", "/proc/self/mountinfo"); len(namespaceMounts(mounts)) != 0 {
					t.Errorf("mounts of named namespaces are still there:\n%s", mounts)
				}
				return
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

func TestRunIsReachableFromOutside(t *testing.T) {
	sb := sandbox(t)
	run(t, sb, "sh", "-c", "echo hello >/run/greeting")
	got, err := os.ReadFile(filepath.Join(sb.cfg.Dir, "run", "greeting"))
	if err != nil || string(got) != "hello\n" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestMountsStayInside(t *testing.T) {
	before, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	sb := sandbox(t)
	after, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(after), sb.cfg.Dir) {
		t.Errorf("a mount of the sandbox is visible outside:\n%s\nbefore:\n%s", after, before)
	}
}

func TestKillEndsEverything(t *testing.T) {
	sb := sandbox(t)
	ch := make(changes, 16)
	// A daemon that leaves its parent is adopted by the init.
	_, err := sb.Launch(t.Context(), Command{
		Name: "fork", Argv: []string{"sh", "-c", "setsid sleep 600 & echo $!; wait"}, Restart: true,
	}, ch.add)
	if err != nil {
		t.Fatal(err)
	}
	ch.next(t)
	inside, _ := os.Readlink("/proc/" + strconv.Itoa(sb.Pid()) + "/ns/pid")
	if err := sb.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := sb.Kill(); err != nil {
		t.Errorf("second kill: %v", err)
	}
	if left := inNamespace(t, inside); len(left) != 0 {
		t.Errorf("processes %v are left", left)
	}
}

// inNamespace lists the processes of a PID namespace.
func inNamespace(t *testing.T, link string) []string {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(files, func(f string) bool {
		got, err := os.Readlink(f)
		return err != nil || got != link
	})
}

func TestInitReapsOrphans(t *testing.T) {
	sb := sandbox(t)
	run(t, sb, "sh", "-c", "for i in 1 2 3 4 5; do (true & ) ; done")
	inside, _ := os.Readlink("/proc/" + strconv.Itoa(sb.Pid()) + "/ns/pid")
	deadline := time.Now().Add(10 * time.Second)
	for len(inNamespace(t, inside)) > 1 {
		if time.Now().After(deadline) {
			t.Fatalf("not only the init is left: %v", inNamespace(t, inside))
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// testParent makes a sandbox with a process and waits to be killed.
func testParent(namespace, dir string) int {
	ctx := context.Background()
	s := NewSpawner()
	go s.Run(ctx) // killed before it returns
	sb, err := s.Start(ctx, testConfig(namespace, dir))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	if _, err := sb.Launch(ctx, Command{Name: "idle", Argv: []string{"sleep", "600"}, Restart: true}, func(Change) {}); err != nil {
		fmt.Println(err)
		return 1
	}
	fmt.Println(sb.Pid())
	select {}
}

func TestKilledParentTakesAllAlong(t *testing.T) {
	needRoot(t)
	name := fmt.Sprintf("gwt-proc-%d-parent", os.Getpid())
	if err := netns.Create(name); err != nil {
		t.Fatal(err)
	}
	defer netns.Delete(name) // a test's leftover shows elsewhere
	self, _ := os.Executable()
	cmd := exec.Command(self, "test-parent", name, t.TempDir())
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(out, &pid); err != nil {
		t.Fatal(err)
	}
	inside, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/ns/pid")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(inNamespace(t, inside)); n != 2 {
		t.Errorf("%d processes before the kill", n)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait() // killed
	deadline := time.Now().Add(5 * time.Second)
	for len(inNamespace(t, inside)) > 0 {
		if time.Now().After(deadline) {
			t.Fatalf("left after its parent: %v", inNamespace(t, inside))
		}
		time.Sleep(time.Millisecond)
	}
}

func TestSpawnerEnd(t *testing.T) {
	needRoot(t)
	ctx, cancel := context.WithCancel(context.Background())
	s := NewSpawner()
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if err := s.start(context.Background(), exec.Command("true"), nil); !errors.Is(err, errSpawnerDone) {
		t.Errorf("error is %v", err)
	}
}

func TestNodeInitByHand(t *testing.T) {
	if err := NodeInit(); err == nil {
		t.Error("it ran outside of a sandbox")
	}
}

func TestNamespaceMounts(t *testing.T) {
	text := `22 1 0:20 / /proc rw - proc proc rw
90 1 0:4 net:[4026532200] /run/netns/gwlab-a-b rw shared:1 - nsfs nsfs rw
91 1 0:4 / /run/netns rw - tmpfs tmpfs rw
92 1 0:4 net:[4026532201] /run/netns/x rw - nsfs nsfs rw
short
`
	want := []string{"/run/netns/gwlab-a-b", "/run/netns/x"}
	if got := namespaceMounts(text); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
