package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// Thread is one operating system thread that goes from namespace to
// namespace, for work on hundreds of them: entering costs a few
// microseconds, with no goroutine or thread made on the way. Between calls it
// rests in, and so holds, the namespace it entered last. Its methods may be
// called from any goroutine; calls run one after the other.
type Thread struct {
	mu     sync.Mutex
	jobs   chan job
	closed bool
	ready  bool // Dir is prepared
}

type job struct {
	fn   func() error
	done chan error
}

// NewThread starts a thread in the namespace of the process. Close ends it.
func NewThread() *Thread {
	t := &Thread{jobs: make(chan job)}
	go t.run(make(chan struct{}))
	return t
}

// run never unlocks: the runtime ends the thread with the goroutine, and with
// it whatever namespace it was left in. The process's first thread will not
// do: the runtime keeps it. run closes started once it has a thread.
func (t *Thread) run(started chan<- struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		other := make(chan struct{})
		go t.run(other) // cannot come here while this goroutine has the thread
		<-other
		close(started)
		runtime.UnlockOSThread()
		return
	}
	close(started)
	for j := range t.jobs {
		runJob(j)
	}
}

func runJob(j job) {
	result := errors.New("function ended its goroutine")
	defer func() { j.done <- result }()
	result = j.fn()
}

// Do runs fn on the thread inside the namespace at path.
func (t *Thread) Do(path string, fn func() error) error {
	return t.call(func() error {
		ns, err := os.Open(path)
		if err != nil {
			return fmt.Errorf("enter namespace: %w", err)
		}
		err = enter(ns)
		_ = ns.Close()
		if err != nil {
			return err
		}
		return fn()
	})
}

// Create makes a namespace as the function [Create] does.
func (t *Thread) Create(name string, sysctls ...Sysctl) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	return t.call(func() error {
		if !t.ready {
			if err := prepareDir(); err != nil {
				return err
			}
			t.ready = true
		}
		err := create(name, sysctls)
		if err != nil && !errors.Is(err, os.ErrExist) {
			return errors.Join(err, Delete(name))
		}
		return err
	})
}

// create leaves the thread inside the new namespace.
func create(name string, sysctls []Sysctl) error {
	f, err := os.OpenFile(Path(name), os.O_CREATE|os.O_EXCL, 0o444)
	if err != nil {
		return fmt.Errorf("create namespace: %w", err)
	}
	_ = f.Close()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	if err := unix.Mount(self, Path(name), "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount namespace %s: %w", name, err)
	}
	if err := SetSysctls(sysctls...); err != nil {
		return fmt.Errorf("create namespace %s: %w", name, err)
	}
	return nil
}

// prepareDir makes Dir a shared mount, as ip-netns(8) does, so that a name
// deleted here goes from the mount namespaces of running nodes as well
// instead of being held alive by them.
func prepareDir() error {
	if err := os.MkdirAll(Dir, 0o755); err != nil {
		return fmt.Errorf("create namespace directory: %w", err)
	}
	err := unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
	if errors.Is(err, unix.EINVAL) {
		if err = unix.Mount(Dir, Dir, "none", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = unix.Mount("", Dir, "none", unix.MS_SHARED|unix.MS_REC, "")
		}
	}
	if err != nil {
		return fmt.Errorf("share namespace directory: %w", err)
	}
	return nil
}

// Close ends the thread. Calls after it fail; a second Close does nothing.
func (t *Thread) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closed {
		t.closed = true
		close(t.jobs)
	}
}

func (t *Thread) call(fn func() error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errors.New("enter namespace: thread is closed")
	}
	j := job{fn, make(chan error, 1)}
	t.jobs <- j
	return <-j.done
}
