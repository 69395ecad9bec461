package lab

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"gwlab/lab/netns"
)

// Root holds one directory for each lab of the machine.
const Root = "/run/gwlab"

// middleNode is the name of the namespace where the cables' middles live; no
// node can have it.
const middleNode = "cable"

// namePattern leaves out hidden files, and is short enough for the socket's
// path to fit into a socket address.
var namePattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,39}$`)

func checkName(name string) error {
	if !namePattern.MatchString(name) {
		return mendable(fmt.Errorf("lab name %q: use 1 to 40 letters, digits, '-', '_' or '.', the first a letter or digit", name))
	}
	return nil
}

const namespacePrefix = "gwlab-"

// namespaceName is a node's namespace as ip-netns(8) shows it.
func namespaceName(lab, node string) string { return namespacePrefix + lab + "-" + node }

// stateDir is a lab's directory. What belongs to the lab is read from it and
// not from names: "gwlab-a-b-c" may be of lab "a" or of lab "a-b".
type stateDir string

func dirOf(lab string) stateDir { return stateDir(filepath.Join(Root, lab)) }

func (d stateDir) lab() string                { return filepath.Base(string(d)) }
func (d stateDir) path(file string) string    { return filepath.Join(string(d), file) }
func (d stateDir) socket() string             { return d.path("gwlab.sock") }
func (d stateDir) logFile() string            { return d.path("supervisor.log") }
func (d stateDir) nodeDir(node string) string { return d.path("nodes/" + node) }
func (d stateDir) exists() bool               { _, err := os.Lstat(string(d)); return err == nil }

// lock is an exclusive lock on an open file. It belongs to the open file and
// not to a process: it lives on in whoever inherits the file, and ends with
// the last of them.
type lock struct{ *os.File }

// errLocked tells that somebody else holds a lock.
var errLocked = errors.New("locked by another process")

func lockFile(path string) (lock, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return lock{}, fmt.Errorf("open lock: %w", err)
	}
	err = unix.FcntlFlock(f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK})
	if err == nil {
		return lock{f}, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		err = errLocked
	}
	return lock{}, fmt.Errorf("lock %s: %w", path, err)
}

// lockRoot serialises the making and removing of labs' directories. It is
// held for no longer than that takes. The lock is on Root itself: a file for
// it would be left behind.
func lockRoot() (lock, error) {
	if err := os.MkdirAll(Root, 0o755); err != nil {
		return lock{}, fmt.Errorf("make %s: %w", Root, err)
	}
	f, err := os.Open(Root)
	if err != nil {
		return lock{}, fmt.Errorf("open lock: %w", err)
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err == nil {
			return lock{f}, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return lock{}, errors.Join(fmt.Errorf("lock %s: %w", Root, err), f.Close())
		}
	}
}

// alive reports whether somebody holds the lab's own lock: its supervisor,
// or the command that is about to start it. It asks without trying to lock.
func (d stateDir) alive() (bool, error) {
	f, err := os.OpenFile(d.path("lock"), os.O_RDWR, 0)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at lab %s: %w", d.lab(), err)
	}
	defer f.Close() //nolint:errcheck // opened for asking only
	held := unix.Flock_t{Type: unix.F_WRLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &held); err != nil {
		return false, fmt.Errorf("look at lab %s: %w", d.lab(), err)
	}
	return held.Type != unix.F_UNLCK, nil
}

// labs lists the names that have a directory.
func labs() ([]string, error) {
	entries, err := os.ReadDir(Root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list labs: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && checkName(e.Name()) == nil {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// identity of a process: its id means another one after its death, the pair
// with the start time never does.
type identity struct {
	Pid   int
	Start uint64 // clock ticks since boot
}

func identify(pid int) (identity, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return identity{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	// The command's name stands in parentheses and may hold anything; the
	// start time is the 20th field after it (proc(5), field 22).
	after := text[strings.LastIndexByte(string(text), ')')+1:]
	fields := strings.Fields(string(after))
	if len(fields) < 20 {
		return identity{}, fmt.Errorf("look at process %d: unexpected form of stat", pid)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	if err != nil {
		return identity{}, fmt.Errorf("look at process %d: %w", pid, err)
	}
	return identity{pid, start}, nil
}

func (d stateDir) writePid(id identity) error {
	if err := os.WriteFile(d.path("pid"), fmt.Appendf(nil, "%d %d\n", id.Pid, id.Start), 0o644); err != nil {
		return fmt.Errorf("write pid file: %w", err)
	}
	return nil
}

// supervisor returns the recorded supervisor if that very process still runs.
func (d stateDir) supervisor() (identity, bool) {
	text, err := os.ReadFile(d.path("pid"))
	if err != nil {
		return identity{}, false
	}
	var want identity
	if _, err := fmt.Sscan(string(text), &want.Pid, &want.Start); err != nil {
		return identity{}, false
	}
	got, err := identify(want.Pid)
	return want, err == nil && got == want
}

// writeNamespaces records which namespaces the lab is going to make.
func (d stateDir) writeNamespaces(names []string) error {
	if err := os.WriteFile(d.path("namespaces"), []byte(strings.Join(names, "\n")+"\n"), 0o644); err != nil {
		return fmt.Errorf("write namespaces: %w", err)
	}
	return nil
}

// namespaces returns what writeNamespaces recorded; ok is false when that is
// not there any more.
func (d stateDir) namespaces() (names []string, ok bool) {
	text, err := os.ReadFile(d.path("namespaces"))
	return strings.Fields(string(text)), err == nil
}

// claimed are the namespaces recorded by labs other than one.
func claimed(except string) (map[string]string, error) {
	all, err := labs()
	if err != nil {
		return nil, err
	}
	owner := make(map[string]string)
	for _, lab := range all {
		if lab == except {
			continue
		}
		names, _ := dirOf(lab).namespaces()
		for _, n := range names {
			owner[n] = lab
		}
	}
	return owner, nil
}

// owned are the existing namespaces of a lab: the recorded ones or, when the
// record is lost, those that bear the lab's name and that no other lab has
// recorded.
func (d stateDir) owned() ([]string, error) {
	others, err := claimed(d.lab())
	if err != nil {
		return nil, err
	}
	recorded, ok := d.namespaces()
	if ok {
		return recorded, nil
	}
	named, err := netns.List(namespaceName(d.lab(), ""))
	if err != nil {
		return nil, fmt.Errorf("find namespaces of lab %s: %w", d.lab(), err)
	}
	var mine []string
	for _, n := range named {
		if _, taken := others[n]; !taken {
			mine = append(mine, n)
		}
	}
	return mine, nil
}
