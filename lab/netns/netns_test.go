package netns

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// needRoot skips a test that has to make namespaces, and fails it where the
// environment promises root.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
		t.Fatal("GWLAB_REQUIRE_ROOT=1 but not root")
	}
	t.Skip("needs root: makes network namespaces")
}

func testName(what string) string { return fmt.Sprintf("gwt-netns-%d-%s", os.Getpid(), what) }

func TestMain(m *testing.M) {
	code := m.Run()
	left, err := List(testName(""))
	if err != nil || len(left) > 0 {
		fmt.Fprintln(os.Stderr, "namespaces left behind:", left, err)
		code = 1
	}
	os.Exit(code)
}

func inode(t *testing.T, path string) uint64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatalf("stat %s: %v", path, err)
	}
	return st.Ino
}

func newNamespace(t *testing.T, what string, sysctls ...Sysctl) string {
	t.Helper()
	name := testName(what)
	t.Cleanup(func() {
		if err := Delete(name); err != nil {
			t.Error(err)
		}
	})
	if err := Create(name, sysctls...); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestCreateIsVisibleToIPNetnsAndKeepsTheCallerInPlace(t *testing.T) {
	needRoot(t)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := inode(t, self)
	name := newNamespace(t, "a")
	if inode(t, self) != before {
		t.Fatal("Create moved the calling thread")
	}
	out, err := exec.Command("ip", "netns", "exec", name, "ip", "-o", "link").CombinedOutput()
	if err != nil {
		t.Fatalf("ip netns exec: %v: %s", err, out)
	}
	if n := strings.Count(string(out), "\n"); n != 1 {
		t.Fatalf("a fresh namespace has lo alone, got %d links: %s", n, out)
	}
}

func TestCreateRefusesATakenNameAndLeavesItAlone(t *testing.T) {
	needRoot(t)
	name := newNamespace(t, "b")
	before := inode(t, Path(name))
	if err := Create(name); !errors.Is(err, os.ErrExist) {
		t.Fatalf("second Create: %v, want %v", err, os.ErrExist)
	}
	if inode(t, Path(name)) != before {
		t.Fatal("second Create replaced the namespace")
	}
}

func TestCreateRemovesWhatItCouldNotFinish(t *testing.T) {
	needRoot(t)
	name := testName("c")
	err := Create(name, Sysctl{"net.ipv4.no_such_setting", "1"})
	if err == nil || !strings.Contains(err.Error(), "net.ipv4.no_such_setting") {
		t.Fatalf("Create with an unknown sysctl: %v", err)
	}
	if _, err := os.Stat(Path(name)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("half-made namespace left behind: %v", err)
	}
}

func TestNamesThatAreNotOnePathElementAreRefused(t *testing.T) {
	for _, name := range []string{"", ".", "..", "a/b", "../x", "a\x00b", strings.Repeat("x", 256)} {
		if err := Delete(name); err == nil {
			t.Errorf("Delete(%q) accepted", name)
		}
		thread := NewThread()
		if err := thread.Create(name); err == nil {
			t.Errorf("Create(%q) accepted", name)
		}
		thread.Close()
	}
}

func TestDeleteIsIdempotentAndEndsTheNamespace(t *testing.T) {
	needRoot(t)
	name := newNamespace(t, "d")
	for range 2 {
		if err := Delete(name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := os.Stat(Path(name)); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("name still there: %v", err)
	}
	if err := Delete(testName("never")); err != nil {
		t.Fatalf("Delete of what never was: %v", err)
	}
}

func TestListFindsByPrefixSorted(t *testing.T) {
	needRoot(t)
	newNamespace(t, "list-2")
	newNamespace(t, "list-1")
	newNamespace(t, "other")
	got, err := List(testName("list-"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{testName("list-1"), testName("list-2")}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("List = %v, want %v", got, want)
	}
}

func TestDoRunsInsideAndReturnsTheError(t *testing.T) {
	needRoot(t)
	name := newNamespace(t, "e")
	wanted := errors.New("from inside")
	err := Do(Path(name), func() error {
		if inode(t, self) != inode(t, Path(name)) {
			t.Error("function ran outside the namespace")
		}
		links, err := net.Interfaces()
		if err != nil || len(links) != 1 {
			t.Errorf("links inside: %v, %v", links, err)
		}
		return wanted
	})
	if !errors.Is(err, wanted) {
		t.Fatalf("Do = %v, want %v", err, wanted)
	}
	if err := Do(Path(testName("absent")), func() error { return nil }); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("Do in no namespace: %v", err)
	}
}

func TestDoSurvivesAFunctionThatEndsItsGoroutine(t *testing.T) {
	needRoot(t)
	name := newNamespace(t, "f")
	if err := Do(Path(name), func() error { runtime.Goexit(); return nil }); err == nil {
		t.Fatal("Do reported success for a function that never returned")
	}
}

func TestNoThreadOfTheProcessStaysInANamespace(t *testing.T) {
	needRoot(t)
	name := newNamespace(t, "g")
	inside := inode(t, Path(name))
	for range 50 {
		if err := Do(Path(name), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	// The thread that made the namespace may still be ending.
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
		stays := threadsIn(t, inside)
		if len(stays) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("threads %v are still inside", stays)
		}
	}
}

func threadsIn(t *testing.T, ns uint64) (threads []string) {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		var st unix.Stat_t
		if unix.Stat("/proc/self/task/"+task.Name()+"/ns/net", &st) == nil && st.Ino == ns {
			threads = append(threads, task.Name())
		}
	}
	return threads
}

func TestScratchIsANamespaceOfItsOwnWithoutAName(t *testing.T) {
	needRoot(t)
	home := inode(t, self)
	wanted := errors.New("from inside")
	err := Scratch(func() error {
		if links, err := net.Interfaces(); err != nil || len(links) != 1 || inode(t, self) == home {
			t.Errorf("links inside: %v, %v", links, err)
		}
		return wanted
	})
	if !errors.Is(err, wanted) {
		t.Fatalf("Scratch = %v, want %v", err, wanted)
	}
}

func TestThreadGoesFromNamespaceToNamespace(t *testing.T) {
	needRoot(t)
	a, b := newNamespace(t, "h1"), newNamespace(t, "h2")
	thread := NewThread()
	var tids []int
	for _, name := range []string{a, b, a} {
		err := thread.Do(Path(name), func() error {
			tids = append(tids, unix.Gettid())
			if inode(t, self) != inode(t, Path(name)) {
				t.Errorf("not inside %s", name)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if tids[0] != tids[1] || tids[1] != tids[2] {
		t.Errorf("threads used: %v, want one", tids)
	}
	thread.Close()
	thread.Close()
	if err := thread.Do(Path(a), func() error { return nil }); err == nil {
		t.Fatal("a closed thread still works")
	}
}

func TestSysctlsHoldForInterfacesMadeLater(t *testing.T) {
	needRoot(t)
	name := newNamespace(t, "i", NoAutoconf()...)
	err := Do(Path(name), func() error {
		for _, s := range NoAutoconf() {
			text, err := os.ReadFile("/proc/sys/" + strings.ReplaceAll(s.Key, ".", "/"))
			if err != nil {
				return err
			}
			if got := strings.TrimSpace(string(text)); got != s.Value {
				t.Errorf("%s = %s, want %s", s.Key, got, s.Value)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestHandleStaysInItsNamespace(t *testing.T) {
	needRoot(t)
	h, err := Handle(Path(newNamespace(t, "j")))
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	links, err := h.LinkList()
	if err != nil || len(links) != 1 || links[0].Attrs().Name != "lo" {
		t.Fatalf("links = %v, %v; want lo alone", links, err)
	}
	if _, err := Handle(Path(testName("absent"))); err == nil {
		t.Fatal("handle in no namespace")
	}
}

func TestTwoHundredNamespaces(t *testing.T) {
	needRoot(t)
	const n = 200
	thread := NewThread()
	defer thread.Close()
	t.Cleanup(func() {
		for i := range n {
			if err := Delete(testName(fmt.Sprint("many-", i))); err != nil {
				t.Error(err)
			}
		}
	})
	start := time.Now()
	for i := range n {
		if err := thread.Create(testName(fmt.Sprint("many-", i)), NoAutoconf()...); err != nil {
			t.Fatal(err)
		}
	}
	made := time.Since(start)
	start = time.Now()
	for i := range n {
		if err := thread.Do(Path(testName(fmt.Sprint("many-", i))), func() error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d namespaces with sysctls: %v; entering each once more: %v", n, made, time.Since(start))
}

// TestThreadIsNotTheFirstOfTheProcess has the thread's goroutine begin on the
// process's first thread, which the runtime would never end.
func TestThreadIsNotTheFirstOfTheProcess(t *testing.T) {
	th := &Thread{jobs: make(chan job)}
	t.Cleanup(th.Close)
	hold := make(chan struct{})
	defer close(hold)
	const most = 256
	for range most { // each keeps a thread, until one of them has the first
		first := make(chan bool, 1)
		go func() {
			runtime.LockOSThread()
			if unix.Gettid() == unix.Getpid() {
				th.run(make(chan struct{}))
				first <- true
				return
			}
			first <- false
			<-hold
			runtime.UnlockOSThread()
		}()
		if <-first {
			var tid int
			if err := th.call(func() error { tid = unix.Gettid(); return nil }); err != nil {
				t.Fatal(err)
			}
			if tid == unix.Getpid() {
				t.Error("the thread is the process's first")
			}
			return
		}
	}
	t.Skipf("none of %d goroutines came to the first thread", most)
}
