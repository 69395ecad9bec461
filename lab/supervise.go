package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"gwlab/lab/cable"
	"gwlab/lab/netns"
	"gwlab/lab/proc"
	"gwlab/topologies"
)

// superviseArg and nodeInitArg are the hidden commands of the program, with
// which it starts itself.
const (
	superviseArg = "supervise"
	nodeInitArg  = "node-init"
)

// The files that a supervisor inherits from its starter.
const (
	listenerFD = 3
	lockFD     = 4
	leaseFD    = 5
)

var errReleasedNot = errors.New("the command that started the lab ended")

// supervisor is the process that a lab lives in.
type supervisor struct {
	dir      stateDir
	options  options
	topology *topologies.Topology
	model    []byte // the topology's file
	lease    *os.File
	spawner  *proc.Spawner
	events   *hub
	ear      *ear
	stop     context.CancelCauseFunc // ends the lab's life
	ending   func() bool             // the lab's life has ended
	let      chan struct{}           // closed once the lease is released or lost
	gone     chan struct{}           // closed when everything is removed
	goneErr  error                   // set before gone is closed

	mu       sync.Mutex // guards what follows
	state    State
	links    *links
	cables   *cable.Cables
	nodes    map[string]*node
	ordered  []*node
	released bool
	watchers map[chan Progress]bool // of the teardown
}

// Supervise builds the lab whose directory and files Up has prepared, keeps
// it, and takes it down when asked to, when ctx ends, on SIGTERM, or when the
// starter dies before it released the lab.
func Supervise(ctx context.Context, name string) error {
	unix.Umask(0o022) // daemons that are not root read what is made for them, whoever brought the lab up
	ctx, ignore := signal.NotifyContext(ctx, unix.SIGTERM, unix.SIGINT)
	defer ignore()
	life, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	s, listener, err := adopt(name, stop)
	if err != nil {
		return err
	}
	s.ending = func() bool { return life.Err() != nil }
	hold, letGo := context.WithCancel(context.WithoutCancel(ctx))
	defer letGo()
	var g errgroup.Group
	g.Go(func() error {
		err := s.spawner.Run(hold)
		stop(err) // nothing can be started any more
		return err
	})
	server := s.server(life)
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			stop(err) // nobody could ask for anything any more
			return fmt.Errorf("serve lab %s: %w", name, err)
		}
		return nil
	})
	g.Go(func() error { s.watchLease(); return nil })
	err = s.live(life)
	s.goneErr = s.teardown()
	close(s.gone)
	// The last answers are on their way; then the sockets close.
	last, cancel := context.WithTimeout(hold, time.Second)
	defer cancel()
	err = errors.Join(err, s.goneErr, server.Shutdown(last), s.lease.Close())
	letGo()
	return errors.Join(err, g.Wait())
}

// adopt takes over what the starter left: open files and the directory.
func adopt(name string, stop context.CancelCauseFunc) (*supervisor, net.Listener, error) {
	for fd := listenerFD; fd <= leaseFD; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, unix.FD_CLOEXEC); err != nil {
			return nil, nil, errors.New("run supervise: it is started by 'gwlab up', not by hand")
		}
	}
	listener, err := net.FileListener(os.NewFile(listenerFD, "listener"))
	if err != nil {
		return nil, nil, fmt.Errorf("adopt socket: %w", err)
	}
	// A read of the lease must end when it is closed here.
	if err := unix.SetNonblock(leaseFD, true); err != nil {
		return nil, nil, fmt.Errorf("adopt lease: %w", err)
	}
	s := &supervisor{
		dir: dirOf(name), state: Building, stop: stop,
		lease: os.NewFile(leaseFD, "lease"), spawner: proc.NewSpawner(), events: newHub(), ear: newEar(),
		gone: make(chan struct{}), let: make(chan struct{}), nodes: make(map[string]*node), watchers: make(map[chan Progress]bool),
	}
	settings, err := os.ReadFile(s.dir.path("options.json"))
	if err == nil {
		err = json.Unmarshal(settings, &s.options)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("read options: %w", err)
	}
	if s.model, err = os.ReadFile(s.dir.path("topology.json")); err != nil {
		return nil, nil, fmt.Errorf("read topology: %w", err)
	}
	if s.topology, err = decodeTopology(s.model); err != nil {
		return nil, nil, err
	}
	return s, listener, nil
}

// live builds the lab and keeps it until its life ends.
func (s *supervisor) live(life context.Context) error {
	err := s.build(life)
	if err != nil {
		if cause := context.Cause(life); cause != nil {
			err = cause
		}
		// The starter wants to know; it may be gone itself.
		s.tell(leaseLine{Error: err.Error()})
		return err
	}
	s.setState(Running)
	s.tell(leaseLine{Built: true})
	<-life.Done()
	return nil
}

// tell writes to the starter, which may be gone.
func (s *supervisor) tell(line leaseLine) {
	json.NewEncoder(s.lease).Encode(line) //nolint:errcheck // see above
}

// watchLease takes the lab down when the starter goes without releasing it.
func (s *supervisor) watchLease() {
	defer close(s.let)
	line, err := bufio.NewReader(s.lease).ReadString('\n')
	if err == nil && line == leaseWord {
		s.mu.Lock()
		s.released = true
		s.mu.Unlock()
		return
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	s.stop(fmt.Errorf("%w: %w", errReleasedNot, err))
}

// abandoned reports whether the starter is gone, be it after a release or
// not. It asks the kernel: the starter's death is known there before it is
// here.
func (s *supervisor) abandoned() bool {
	conn, err := s.lease.SyscallConn()
	gone := false
	if err == nil {
		err = conn.Control(func(fd uintptr) {
			ask := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
			n, err := unix.Poll(ask, 0)
			gone = err == nil && n > 0
		})
	}
	return err == nil && gone
}

func (s *supervisor) setState(state State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = state
}

// running refuses a verb on a lab that is not up.
func (s *supervisor) running() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != Running {
		return fmt.Errorf("lab %s is %s", s.dir.lab(), s.state)
	}
	return nil
}

// teardown removes everything. It goes on over errors, so that as little as
// possible is left, and works on a lab that is built in part.
func (s *supervisor) teardown() error {
	s.setState(Stopping)
	var errs []error
	total := len(s.ordered)
	for _, n := range s.ordered {
		errs = append(errs, n.shoot())
	}
	for i, n := range s.ordered {
		errs = append(errs, n.kill())
		s.progressDown(Progress{Stage: "stop", Done: i + 1, Total: total, Text: n.model.Name})
	}
	if s.cables != nil {
		errs = append(errs, s.cables.Close())
	}
	names := namespacesOf(s.dir.lab(), s.topology)
	for i, n := range names {
		errs = append(errs, netns.Delete(n))
		s.progressDown(Progress{Stage: "remove", Done: i + 1, Total: len(names), Text: n})
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("take lab %s down: %w", s.dir.lab(), err)
	}
	root, err := lockRoot()
	if err != nil {
		return err
	}
	defer root.Close() //nolint:errcheck // closing is the unlock
	if err := os.RemoveAll(string(s.dir)); err != nil {
		return fmt.Errorf("remove %s: %w", s.dir, err)
	}
	return nil
}

// progressDown tells whoever waits for the teardown; a slow one misses steps.
func (s *supervisor) progressDown(p Progress) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for w := range s.watchers {
		select {
		case w <- p:
		default:
		}
	}
}
