package bfd

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// workerName is argv[0] of a worker process.
const workerName = "bfd-worker"

// Isolated is a Service whose Engine lives in a process of its own: a second
// run of this program's executable, with nothing in it but BFD, under
// SCHED_FIFO as a whole. What the goroutines of this process do, and its
// garbage collector, cannot delay a packet there. The program's main must
// hand over to WorkerMain when IsWorker says so.
//
// Changes are then called on a thread of this process, one after another, a
// few hundred microseconds after the fact if the Go scheduler has a processor
// free for it: GOMAXPROCS should exceed the number of busy goroutines.
// If this process dies, the worker takes its sessions to AdminDown and ends:
// peers do not take the loss of the control plane for a loss of the path.
type Isolated struct {
	deps    Deps
	done    chan struct{}
	answers chan answer

	asking sync.Mutex // one question at a time
	mu     sync.Mutex
	want   map[Key]Params // the last Set, for a worker that is yet to start
	orders *gob.Encoder   // nil: no worker
	begun  bool
}

var _ Service = (*Isolated)(nil)

// order is what a worker is told. Ask calls for a report with an answer.
type order struct {
	Set  bool
	Want map[Key]Params
	Ask  bool
}

// report is what a worker tells; one of the fields is set.
type report struct {
	Change *Change
	Log    *logLine
	Answer *answer
	Err    string // the engine failed
}

// answer is the reply to order.Ask.
type answer struct {
	Running  bool
	Sessions []Status
	RealTime bool
	Stray    uint64
}

type logLine struct {
	Level   slog.Level
	Message string
	Attrs   [][2]string
}

// NewIsolated returns a Service at rest: no process, no thread. Deps.Rand is
// not used: the worker seeds itself. Deps.Enter runs on the thread that
// starts the worker, which inherits the namespaces of that thread.
func NewIsolated(deps Deps) (*Isolated, error) {
	if deps.Changes == nil {
		return nil, errors.New("make isolated bfd engine: Deps.Changes is missing")
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	return &Isolated{deps: deps, done: make(chan struct{}), answers: make(chan answer)}, nil
}

// Set makes the sessions exactly want.
func (i *Isolated) Set(want map[Key]Params) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.want = maps.Clone(want)
	i.order(order{Set: true, Want: i.want})
}

// order needs mu. A worker that is gone is noticed by Run, not here.
func (i *Isolated) order(o order) bool {
	return i.orders != nil && i.orders.Encode(o) == nil
}

// Status returns all sessions, ordered by interface and peer; nil outside Run.
func (i *Isolated) Status() []Status {
	a := i.ask()
	if a.Running && a.Sessions == nil {
		return []Status{} // nil says that nothing runs
	}
	return a.Sessions
}

// RealTime reports whether the worker's packet thread runs under SCHED_FIFO.
func (i *Isolated) RealTime() bool { return i.ask().RealTime }

// Stray counts the packets that fit no session, as Engine.Stray does.
func (i *Isolated) Stray() uint64 { return i.ask().Stray }

// ask questions the worker; the zero answer if there is none.
func (i *Isolated) ask() answer {
	i.asking.Lock()
	defer i.asking.Unlock()
	i.mu.Lock()
	asked := i.order(order{Ask: true})
	i.mu.Unlock()
	if !asked {
		return answer{}
	}
	select {
	case a := <-i.answers:
		return a
	case <-i.done:
		return answer{}
	}
}

// Run starts the worker and serves it until ctx ends and every session has
// said AdminDown. It may be called once.
func (i *Isolated) Run(ctx context.Context) error {
	i.mu.Lock()
	begun := i.begun
	i.begun = true
	i.mu.Unlock()
	if begun {
		return errors.New("run isolated bfd engine: it ran already")
	}
	defer close(i.done)
	ended := make(chan error, 1)
	go func() {
		// Never unlocked: namespace and scheduling class die with the thread.
		runtime.LockOSThread()
		ended <- i.work(ctx)
	}()
	return <-ended
}

func (i *Isolated) work(ctx context.Context) error {
	if i.deps.Enter != nil {
		if err := i.deps.Enter(); err != nil {
			return fmt.Errorf("enter bfd namespace: %w", err)
		}
	}
	conn, worker, err := startWorker()
	if err != nil {
		return err
	}
	raisePriority()
	defer context.AfterFunc(ctx, func() { hangUp(conn, unix.SHUT_WR) })()

	i.mu.Lock()
	i.orders = gob.NewEncoder(conn)
	if i.want != nil {
		i.order(order{Set: true, Want: i.want})
	}
	i.mu.Unlock()

	err = i.listen(gob.NewDecoder(conn))
	i.mu.Lock()
	i.orders = nil
	i.mu.Unlock()
	_ = conn.Close()
	if waitErr := worker.Wait(); err == nil && waitErr != nil {
		err = fmt.Errorf("wait for bfd worker: %w", waitErr)
	}
	if err == nil && ctx.Err() == nil {
		err = errors.New("wait for bfd worker: it ended by itself")
	}
	return err
}

// listen hears the worker until it hangs up.
func (i *Isolated) listen(reports *gob.Decoder) error {
	for {
		var r report
		err := reports.Decode(&r)
		if errors.Is(err, io.EOF) || errors.Is(err, unix.ECONNRESET) { // reset: an order was left unread
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from bfd worker: %w", err)
		}
		switch {
		case r.Err != "":
			return fmt.Errorf("run bfd worker: %s", r.Err)
		case r.Change != nil:
			i.deps.Changes(*r.Change)
		case r.Log != nil:
			r.Log.write(i.deps.Log)
		case r.Answer != nil:
			i.answers <- *r.Answer // whoever asked is waiting
		}
	}
}

// startWorker runs this program again as a worker, with one end of a socket
// as its file 3. The socket blocks: a thread that waits in the kernel hears at
// once, one that waits for the Go scheduler's poller may not.
func startWorker() (*os.File, *exec.Cmd, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("connect bfd worker: %w", err)
	}
	near, far := os.NewFile(uintptr(fds[0]), workerName), os.NewFile(uintptr(fds[1]), workerName)
	defer far.Close() //nolint:errcheck // the worker holds its own copy
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: []string{workerName}, Env: os.Environ(),
		Stderr: os.Stderr, ExtraFiles: []*os.File{far},
	}
	if err := cmd.Start(); err != nil {
		_ = near.Close()
		return nil, nil, fmt.Errorf("start bfd worker: %w", err)
	}
	return near, cmd, nil
}

// hangUp ends the conversation in the ways of shutdown(2). It cannot fail on
// a connected socket, and on one that is gone there is nothing to end.
func hangUp(socket *os.File, how int) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), how) })
}
