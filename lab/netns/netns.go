package netns

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sort"
	"strings"

	"github.com/vishvananda/netlink"
	handle "github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Dir is where ip-netns(8) looks for named namespaces.
const Dir = "/run/netns"

const self = "/proc/thread-self/ns/net"

// Path returns the file that stands for the namespace of that name.
func Path(name string) string { return filepath.Join(Dir, name) }

// Create makes a namespace visible to ip-netns(8) and gives it sysctls before
// any interface other than lo exists in it. The caller's own namespace does
// not change. It fails when the name is taken. To make many, use
// [Thread.Create].
func Create(name string, sysctls ...Sysctl) error {
	t := NewThread()
	defer t.Close()
	return t.Create(name, sysctls...)
}

// Delete removes the name. The namespace itself and all in it go once no
// process, socket or open file holds it. Deleting what is not there is no
// error.
func Delete(name string) error {
	if err := checkName(name); err != nil {
		return fmt.Errorf("delete namespace: %w", err)
	}
	path := Path(name)
	// A name may have been mounted over more than once.
	for {
		err := unix.Unmount(path, unix.MNT_DETACH)
		if err == nil {
			continue
		}
		if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
			break
		}
		return fmt.Errorf("unmount namespace %s: %w", name, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove namespace %s: %w", name, err)
	}
	return nil
}

// List returns the names that begin with prefix, sorted. A machine that never
// had a named namespace has none.
func List(prefix string) ([]string, error) {
	entries, err := os.ReadDir(Dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list namespaces: %w", err)
	}
	var names []string
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), prefix) {
			names = append(names, e.Name())
		}
	}
	sort.Strings(names)
	return names, nil
}

// Do runs fn on a thread inside the namespace at path and returns its error.
// Goroutines that fn starts run outside of it. The thread is reused only if
// it could return to where it came from.
func Do(path string, fn func() error) error {
	target, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("enter namespace: %w", err)
	}
	defer func() { _ = target.Close() }()
	result := errors.New("function ended its goroutine")
	done := make(chan struct{})
	go func() {
		defer close(done)
		result = doLocked(target, fn)
	}()
	<-done
	return result
}

// Scratch runs fn inside a namespace without a name, which ends with it: not
// even a killed process leaves it behind.
func Scratch(fn func() error) error {
	t := NewThread()
	defer t.Close()
	return t.call(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("create scratch namespace: %w", err)
		}
		return fn()
	})
}

// doLocked leaves the thread locked, and so condemned with its goroutine, on
// every way out that did not restore the namespace.
func doLocked(target *os.File, fn func() error) error {
	runtime.LockOSThread()
	home, err := os.Open(self)
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter namespace %s: %w", target.Name(), err)
	}
	defer func() { _ = home.Close() }()
	if err := enter(target); err != nil {
		runtime.UnlockOSThread()
		return err
	}
	err = fn()
	if enter(home) == nil {
		runtime.UnlockOSThread()
	}
	return err
}

// enter moves the calling thread.
func enter(ns *os.File) error {
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter namespace %s: %w", ns.Name(), err)
	}
	return nil
}

// Handle opens a routing netlink handle inside the namespace at path. It
// stays there wherever it is used from, and holds the namespace until closed.
func Handle(path string) (*netlink.Handle, error) {
	ns, err := handle.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open namespace %s: %w", path, err)
	}
	defer func() { _ = ns.Close() }()
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink in %s: %w", path, err)
	}
	return h, nil
}

func checkName(name string) error {
	if name == "" || name == "." || name == ".." || strings.ContainsAny(name, "/\x00") || len(name) > 255 {
		return fmt.Errorf("%q is not a namespace name: one path element is wanted", name)
	}
	return nil
}
