package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/lab/capability"
	"gwlab/lab/kind"
	"gwlab/lab/netns"
	"gwlab/lab/proc"
	"gwlab/topologies"
)

const defaultTimeout = 60 * time.Second

// leaseWord, written to the lease, lets the lab live on without its starter.
const leaseWord = "release\n"

// Up brings a lab up and returns a hand on it. Until it returns the lab is
// tied to this process: should that die, or Up err, nothing of the lab stays.
// progress may be nil.
func Up(ctx context.Context, o UpOptions, progress func(Progress)) (*Lab, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.Name == "" && o.Topology != nil {
		o.Name = o.Topology.Name
	}
	var err error
	if o.Binaries, err = absolute(o.Binaries); err != nil {
		return nil, fmt.Errorf("find gatewayd: %w", err)
	}
	if err := o.check(); err != nil {
		return nil, mendable(err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, o.Timeout,
		fmt.Errorf("lab %s is not up within %v", o.Name, o.Timeout))
	defer cancel()
	s, err := register(o)
	if err != nil {
		return nil, err
	}
	l := &Lab{name: o.Name, topology: o.Topology, client: dialer(dirOf(o.Name).socket()), lease: s.lease}
	if err = s.follow(ctx, progress); err == nil && o.WaitReady {
		err = l.awaitReady(ctx, progress)
	}
	if err == nil && !o.Owned {
		err = l.Release(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, s.abort(l))
	}
	return l, nil
}

// check refuses what cannot be built before anything is.
func (o UpOptions) check() error {
	if o.Topology == nil {
		return errors.New("bring lab up: no topology given")
	}
	if err := checkName(o.Name); err != nil {
		return err
	}
	if o.Topology.Node(middleNode) != nil {
		return fmt.Errorf("topology %s: node name %q is taken by the lab itself: rename the node", o.Topology.Name, middleNode)
	}
	if err := checkRoot(); err != nil {
		return err
	}
	specs, err := planAll(o.Topology, o.Binaries)
	if err != nil {
		return err
	}
	return capability.Require(needs(o.Topology, specs)...)
}

// absolute makes paths independent of the directory they were given in.
func absolute(b kind.Binaries) (kind.Binaries, error) {
	var errs []error
	for _, path := range []*string{&b.Gatewayd, &b.UnderTest} {
		if strings.Contains(*path, "/") {
			full, err := filepath.Abs(*path)
			*path, errs = full, append(errs, err)
		}
	}
	return b, errors.Join(errs...)
}

// starter is what Up holds of the supervisor it started.
type starter struct {
	name  string
	lease *os.File
	ended chan struct{} // the supervisor is gone
	how   string        // it ended, such as "exit status 1"; set before ended is closed
}

// follow passes the build's progress on until its end.
func (s *starter) follow(ctx context.Context, progress func(Progress)) error {
	stop := context.AfterFunc(ctx, func() { s.lease.Close() }) //nolint:errcheck // the read below sees it
	defer stop()
	for dec := json.NewDecoder(bufio.NewReader(s.lease)); ; {
		var line leaseLine
		if err := dec.Decode(&line); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("bring lab %s up: its supervisor ended%s%s", s.name, s.howEnded(), lastLine(dirOf(s.name).logFile()))
		}
		switch {
		case line.Progress != nil:
			progress(*line.Progress)
		case line.Error != "":
			return fmt.Errorf("bring lab %s up: %s", s.name, line.Error)
		case line.Built:
			return nil
		}
	}
}

// howEnded is " (signal: killed)" or the like, empty when the supervisor has
// closed the connection and lives on.
func (s *starter) howEnded() string {
	select {
	case <-s.ended:
		return " (" + s.how + ")"
	case <-time.After(hung):
		return ""
	}
}

// lastLine is ": " and the last line of a log, empty when that has none.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return ": " + lines[len(lines)-1]
}

// awaitReady waits for the sessions, showing what is missing.
func (l *Lab) awaitReady(ctx context.Context, progress func(Progress)) error {
	progress(Progress{Stage: "ready", Text: "waiting for sessions"})
	if err := l.Ready(ctx); err != nil {
		return err
	}
	progress(Progress{Stage: "ready", Done: 1, Total: 1, Text: "every session is up"})
	return nil
}

// abort drops the lease, on which the supervisor takes everything down, and
// sees to it that it did.
func (s *starter) abort(l *Lab) error {
	l.lease = nil
	err := l.Close()
	if cerr := s.lease.Close(); cerr != nil && !errors.Is(cerr, os.ErrClosed) {
		err = errors.Join(err, cerr)
	}
	select {
	case <-s.ended:
	case <-time.After(2 * hung):
	}
	return errors.Join(err, Down(context.Background(), s.name, nil))
}

// register makes the lab known by its directory and starts its supervisor.
func register(o UpOptions) (*starter, error) {
	root, err := lockRoot()
	if err != nil {
		return nil, fmt.Errorf("bring lab %s up: %w", o.Name, err)
	}
	defer root.Close() //nolint:errcheck // closing is the unlock
	dir := dirOf(o.Name)
	live, err := dir.alive()
	if err != nil {
		return nil, err
	}
	if live {
		return nil, mendable(fmt.Errorf("lab %s is up already: take it down with 'gwlab down %s' or choose another --name", o.Name, o.Name))
	}
	// What a killed lab of that name left is in the way.
	if dir.exists() {
		if err := removeDead(o.Name, func(Progress) {}); err != nil {
			return nil, fmt.Errorf("remove what is left of lab %s: %w", o.Name, err)
		}
	}
	if err := checkFree(o); err != nil {
		return nil, mendable(err)
	}
	s, err := start(o, dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bring lab %s up: %w", o.Name, err), removeDead(o.Name, func(Progress) {}))
	}
	return s, nil
}

func namespacesOf(lab string, t *topologies.Topology) []string {
	names := []string{namespaceName(lab, middleNode)}
	for _, n := range t.Nodes {
		names = append(names, namespaceName(lab, n.Name))
	}
	return names
}

// checkFree refuses a lab whose namespaces' names are taken.
func checkFree(o UpOptions) error {
	owner, err := claimed(o.Name)
	if err != nil {
		return err
	}
	for _, n := range namespacesOf(o.Name, o.Topology) {
		if other, taken := owner[n]; taken {
			return fmt.Errorf("namespace %s belongs to lab %s: choose another --name", n, other)
		}
		if _, err := os.Lstat(netns.Path(n)); err == nil {
			return fmt.Errorf("namespace %s exists already and is of no running lab: remove it with 'gwlab sweep'", n)
		}
	}
	return nil
}

// options is what the supervisor reads beside the topology.
type options struct {
	UpOptions
	Since time.Time
}

// start lays out the directory and forks the supervisor. The root lock is
// held, so that nobody takes the half-made lab for a dead one.
func start(o UpOptions, dir stateDir) (*starter, error) {
	if err := writeInputs(o, dir); err != nil {
		return nil, err
	}
	alive, err := lockFile(dir.path("lock"))
	if err != nil {
		return nil, err
	}
	defer alive.Close() //nolint:errcheck // the supervisor holds it from now on
	listener, err := listen(dir.socket())
	if err != nil {
		return nil, err
	}
	defer listener.Close() //nolint:errcheck // the supervisor holds its own copy
	ours, theirs, err := leasePair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close() //nolint:errcheck // the supervisor holds its own copy
	log, err := os.OpenFile(dir.logFile(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open log: %w", err), ours.Close())
	}
	defer log.Close() //nolint:errcheck // the supervisor holds its own copy
	self, err := os.Executable()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("find own program: %w", err), ours.Close())
	}
	cmd := exec.Command(self, superviseArg, o.Name)
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = append(os.Environ(), proc.LabEnv+"="+o.Name, proc.RootEnv+"="+rootTag())
	cmd.ExtraFiles = []*os.File{listener, alive.File, theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start supervisor: %w", err), ours.Close())
	}
	s := &starter{name: o.Name, lease: ours, ended: make(chan struct{})}
	id, err := identify(cmd.Process.Pid)
	if err == nil {
		err = dir.writePid(id)
	}
	go func() {
		cmd.Wait() //nolint:errcheck // a bad end is told by its state
		s.how = cmd.ProcessState.String()
		close(s.ended)
	}()
	if err != nil {
		return nil, errors.Join(err, ours.Close(), cmd.Process.Kill())
	}
	return s, nil
}

func writeInputs(o UpOptions, dir stateDir) error {
	if err := os.Mkdir(string(dir), 0o755); err != nil {
		return fmt.Errorf("make lab directory: %w", err)
	}
	if err := dir.writeNamespaces(namespacesOf(o.Name, o.Topology)); err != nil {
		return err
	}
	model, err := encodeTopology(o.Topology)
	if err != nil {
		return err
	}
	saved := options{o, time.Now()}
	saved.Topology = nil // stands in its own file
	settings, err := json.Marshal(saved)
	if err != nil {
		return fmt.Errorf("encode options: %w", err)
	}
	for name, text := range map[string][]byte{
		"topology.yaml": o.Topology.Source, "topology.json": model, "options.json": settings,
	} {
		if err := os.WriteFile(dir.path(name), text, 0o644); err != nil {
			return fmt.Errorf("write lab directory: %w", err)
		}
	}
	return nil
}

// listen makes the lab's socket and returns it as a file to hand on.
func listen(path string) (*os.File, error) {
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("make socket %s: %w", filepath.Base(path), err)
	}
	l.SetUnlinkOnClose(false)
	defer l.Close() //nolint:errcheck // the file is a copy
	// It is root's alone, whatever the umask says.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("close socket to others: %w", err)
	}
	f, err := l.File()
	if err != nil {
		return nil, fmt.Errorf("hand on socket: %w", err)
	}
	return f, nil
}

// leasePair makes the connection between a supervisor and its starter; ours
// is non-blocking, so that closing it ends a read.
func leasePair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make lease: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "lease"), os.NewFile(uintptr(fds[1]), "lease"), nil
}

// release tells the supervisor that the lab lives on by itself.
func release(lease io.Writer) error {
	if _, err := io.WriteString(lease, leaseWord); err != nil {
		return fmt.Errorf("release lease: %w", err)
	}
	return nil
}
