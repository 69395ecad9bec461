package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// Spawner forks processes into namespaces from one OS thread that lives as
// long as Run: the parent-death signal of what it forks is bound to that very
// thread, so the thread must never go back to the runtime's pool.
type Spawner struct {
	jobs chan job
	done chan struct{}
}

type job struct {
	cmd   *exec.Cmd
	into  []namespace
	reply chan error
}

// namespace is one namespace to be in while forking; file is open on it.
type namespace struct {
	kind int // unix.CLONE_NEW…
	file *os.File
}

// errSpawnerDone tells that Run has ended and nothing can be forked any more.
var errSpawnerDone = errors.New("the lab's spawner has ended")

// NewSpawner returns a Spawner; nothing is forked before Run runs.
func NewSpawner() *Spawner {
	return &Spawner{jobs: make(chan job), done: make(chan struct{})}
}

// Run forks what is asked for until ctx ends. When it returns, the kernel
// kills every sandbox forked by it. It errs when the thread could not be
// brought back to its own namespaces; nothing may be forked from it then.
func (s *Spawner) Run(ctx context.Context) error {
	result := make(chan error, 1)
	onThread(func() {
		defer close(s.done)
		result <- s.loop(ctx)
	})
	return <-result
}

// onThread runs fn in a goroutine on a thread of its own, which ends with it
// and with whatever namespaces it is in. The process's first thread will not
// do: the runtime keeps it, and /proc/PID shows its namespaces.
func onThread(fn func()) { go runOnThread(fn, make(chan struct{})) }

// runOnThread closes started once fn has a thread.
func runOnThread(fn func(), started chan<- struct{}) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		other := make(chan struct{})
		go runOnThread(fn, other) // cannot come here while this goroutine has the thread
		<-other
		close(started)
		runtime.UnlockOSThread()
		return
	}
	close(started)
	fn()
}

func (s *Spawner) loop(ctx context.Context) error {
	// Entering a mount namespace is refused to a thread that shares its
	// root and working directory with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare the spawner's root directory: %w", err)
	}
	home, err := openNamespaces("/proc/thread-self/ns", allNamespaces)
	if err != nil {
		return err
	}
	defer closeNamespaces(home)
	for {
		select {
		case <-ctx.Done():
			return nil
		case j := <-s.jobs:
			err := enter(j.into)
			if err == nil {
				err = j.cmd.Start()
			}
			back := enter(home)
			j.reply <- err
			if back != nil {
				return fmt.Errorf("leave a node's namespaces: %w", back)
			}
		}
	}
}

// start forks cmd inside the namespaces and returns once it has executed.
func (s *Spawner) start(ctx context.Context, cmd *exec.Cmd, into []namespace) error {
	j := job{cmd: cmd, into: into, reply: make(chan error, 1)}
	select {
	case s.jobs <- j:
	case <-s.done:
		return errSpawnerDone
	case <-ctx.Done():
		return ctx.Err()
	}
	return <-j.reply
}

// allNamespaces in the order in which they are entered: the mount namespace
// last, because the files of the others are found through the old one.
var allNamespaces = [...]int{unix.CLONE_NEWNET, unix.CLONE_NEWUTS, unix.CLONE_NEWPID, unix.CLONE_NEWNS}

// namespaceFile is a namespace's file under /proc/PID/ns. For the PID
// namespace it is the one the children get.
func namespaceFile(kind int) string {
	switch kind {
	case unix.CLONE_NEWNET:
		return "net"
	case unix.CLONE_NEWUTS:
		return "uts"
	case unix.CLONE_NEWPID:
		return "pid"
	default:
		return "mnt"
	}
}

// openNamespaces opens namespaces from a directory such as /proc/1/ns.
func openNamespaces(dir string, kinds [4]int) ([]namespace, error) {
	var all []namespace
	for _, kind := range kinds {
		f, err := os.Open(dir + "/" + namespaceFile(kind))
		if err != nil {
			closeNamespaces(all)
			return nil, fmt.Errorf("open namespace: %w", err)
		}
		all = append(all, namespace{kind, f})
	}
	return all, nil
}

// openSandbox opens all four namespaces of a sandbox by the pid of its init.
func openSandbox(pid int) ([]namespace, error) {
	return openNamespaces("/proc/"+strconv.Itoa(pid)+"/ns", allNamespaces)
}

// openNetwork opens a network namespace by the path of its file.
func openNetwork(path string) ([]namespace, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open network namespace: %w", err)
	}
	return []namespace{{unix.CLONE_NEWNET, f}}, nil
}

func closeNamespaces(all []namespace) {
	for _, n := range all {
		n.file.Close() //nolint:errcheck // opened for reading only
	}
}

// enter moves the calling thread, which must be locked, into namespaces.
func enter(all []namespace) error {
	for _, n := range all {
		if err := unix.Setns(int(n.file.Fd()), n.kind); err != nil {
			return fmt.Errorf("enter %s namespace: %w", namespaceFile(n.kind), err)
		}
	}
	return nil
}
