package kernel

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// twoCables locks the thread into a namespace of its own and returns a way
// to run ip there. The thread ends in it.
func twoCables(t *testing.T) (run func(args ...string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("GWLAB_REQUIRE_ROOT") == "1" {
			t.Fatal("this test needs root, and GWLAB_REQUIRE_ROOT=1")
		}
		t.Skip("needs root: it makes a network namespace")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	run = func(args ...string) {
		t.Helper()
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Fatalf("ip %v: %v: %s", args, err, out)
		}
	}
	run("link", "add", "a0", "index", "10", "type", "veth", "peer", "name", "b0", "index", "20")
	run("link", "add", "gone0", "index", "30", "type", "veth", "peer", "name", "gone1", "index", "40")
	return run
}

// A storm that overflows the subscription costs the events between, never
// the truth at its end.
func TestWatchReadsEverythingAnewAfterOverflow(t *testing.T) {
	run := twoCables(t)
	w, err := NewLinks()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithCancel(t.Context())
	events, done := make(chan LinkEvent), make(chan error, 1)
	go func() { done <- w.Run(ctx, events) }()
	for range 5 { // lo and four ends: what is there
		<-events
	}
	// The reader now sleeps in the next event that nobody takes, or waits.
	raw, err := w.file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	})
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		run("link", "set", "a0", "up")
		run("link", "set", "a0", "down")
	}
	run("link", "set", "b0", "up")
	run("link", "set", "a0", "up")
	run("link", "del", "gone0")
	last := map[string]bool{"gone0": true}
	for timeout := time.After(10 * time.Second); !last["a0"] || !last["b0"] || last["gone0"]; {
		select {
		case e := <-events:
			last[e.Interface] = e.Up
		case <-timeout:
			t.Fatalf("after the storm: %v, want a0 and b0 up and gone0 gone", last)
		}
	}
	cancel()
	for {
		select {
		case <-events:
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
			return
		}
	}
}
