package proc

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// initFD is where a node's init finds its end of the socket to the supervisor.
const initFD = 3

// setup is what the supervisor tells an init.
type setup struct {
	Hostname string `json:"hostname"`
	// Run, Hosts and Resolv are paths on the host that become /run,
	// /etc/hosts and /etc/resolv.conf of the node.
	Run    string `json:"run"`
	Hosts  string `json:"hosts"`
	Resolv string `json:"resolv"`
}

// NodeInit is PID 1 of a node's sandbox, started as "node-init". It makes the
// node's view of the file system, answers "ok" or an error to the supervisor,
// and then reaps orphans until the supervisor's end of the socket closes.
// With it dies everything in the sandbox.
func NodeInit() error {
	control := os.NewFile(initFD, "control")
	if control == nil || os.Getpid() != 1 {
		return errors.New("run node-init: it is started by a lab's supervisor, not by hand")
	}
	unix.CloseOnExec(initFD)
	reaped := make(chan os.Signal, 1)
	signal.Notify(reaped, unix.SIGCHLD)
	var s setup
	err := json.NewDecoder(control).Decode(&s)
	if err == nil {
		err = prepare(s)
	}
	answer := "ok\n"
	if err != nil {
		answer = strings.ReplaceAll(err.Error(), "\n", "; ") + "\n"
	}
	if _, err := io.WriteString(control, answer); err != nil {
		return fmt.Errorf("answer the supervisor: %w", err)
	}
	gone := make(chan struct{})
	go func() {
		io.Copy(io.Discard, control) //nolint:errcheck // any end is the end
		close(gone)
	}()
	for {
		select {
		case <-gone:
			return nil
		case <-reaped:
			reap()
		}
	}
}

// reap takes the status of every dead orphan: one SIGCHLD may stand for many.
func reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
	}
}

// prepare makes the sandbox's mounts; none of them is seen outside.
func prepare(s setup) error {
	if err := unix.Sethostname([]byte(s.Hostname)); err != nil {
		return fmt.Errorf("set hostname %q: %w", s.Hostname, err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	if err := forgetNamespaces(); err != nil {
		return err
	}
	for inside, outside := range map[string]string{"/etc/hosts": s.Hosts, "/etc/resolv.conf": s.Resolv} {
		target, err := filepath.EvalSymlinks(inside)
		if errors.Is(err, os.ErrNotExist) {
			continue // nothing reads a file that the machine does not have
		}
		if err != nil {
			return fmt.Errorf("find %s: %w", inside, err)
		}
		if err := bind(outside, target); err != nil {
			return err
		}
	}
	// /run last: the sources of the other binds stand below it.
	if err := bind(s.Run, "/run"); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	// sysfs shows the devices of the network namespace it was mounted in.
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	// FRR's daemons leave a folder each in /var/tmp, named by their process
	// ids, which are the same few in every node.
	if err := unix.Mount("tmpfs", "/var/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777,size=16m"); err != nil {
		return fmt.Errorf("mount /var/tmp: %w", err)
	}
	return nil
}

func bind(outside, inside string) error {
	if err := unix.Mount(outside, inside, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", outside, inside, err)
	}
	return nil
}

// forgetNamespaces detaches this mount namespace's copies of the named
// network namespaces: as long as a copy exists, deleting the name elsewhere
// does not end the namespace.
func forgetNamespaces() error {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return fmt.Errorf("read mounts: %w", err)
	}
	mounts := namespaceMounts(string(text))
	for i := len(mounts) - 1; i >= 0; i-- { // the last mounted lies on top
		err := unix.Unmount(mounts[i], unix.MNT_DETACH)
		if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
			return fmt.Errorf("detach %s: %w", mounts[i], err)
		}
	}
	return nil
}

// namespaceMounts lists the mount points of named network namespaces in a
// text of the form of /proc/self/mountinfo, in its order.
func namespaceMounts(mountinfo string) []string {
	var all []string
	for line := range strings.Lines(mountinfo) {
		fields := strings.Fields(line)
		if len(fields) < 5 {
			continue
		}
		at := fields[4]
		if strings.HasPrefix(at, "/run/netns/") || strings.HasPrefix(at, "/var/run/netns/") {
			all = append(all, at)
		}
	}
	return all
}
