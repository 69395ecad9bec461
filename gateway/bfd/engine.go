package bfd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// After a crash and restart of the program its former worker may take a moment
// to leave the port.
const (
	portPatience = 500 * time.Millisecond
	portRetry    = 5 * time.Millisecond
)

// Deps are what an Engine needs from outside.
type Deps struct {
	// Changes hears of every transition of every session, in order. It is
	// called on the packet thread, so that a repair can begin before anything
	// is scheduled: it must not block, and while it works no session sends.
	// A few hundred microseconds are harmless at 10 ms × 3. It must not call
	// Status, which waits for that thread; Set is allowed.
	Changes func(Change)
	// Rand gives discriminators, source ports and jitter; nil means a source
	// seeded at random.
	Rand rand.Source
	// Log hears of transitions, from a goroutine of its own; nil means silence.
	Log *slog.Logger
	// Enter, if given, runs on the packet thread before any socket is opened:
	// a place to join another network namespace. The thread ends with Run.
	Enter func() error
}

// Engine runs the BFD sessions of one network namespace. Make one with New.
type Engine struct {
	deps     Deps
	want     atomic.Pointer[map[Key]Params]
	asks     chan chan []Status
	done     chan struct{}
	realTime atomic.Bool
	stray    atomic.Uint64

	mu      sync.Mutex // orders wake against the life of wakeFD; the packet thread never takes it while it works
	wakeFD  int        // eventfd; -1 outside Run
	started bool
}

var _ Service = (*Engine)(nil)

// New returns an Engine at rest: no thread, no socket.
func New(deps Deps) (*Engine, error) {
	if deps.Changes == nil {
		return nil, errors.New("make bfd engine: Deps.Changes is missing")
	}
	if deps.Rand == nil {
		deps.Rand = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	if deps.Log == nil {
		deps.Log = slog.New(slog.DiscardHandler)
	}
	return &Engine{
		deps:   deps,
		asks:   make(chan chan []Status, 16),
		done:   make(chan struct{}),
		wakeFD: -1,
	}, nil
}

// Set makes the sessions exactly want. It returns at once; called before Run,
// the sessions start with it.
func (e *Engine) Set(want map[Key]Params) {
	want = maps.Clone(want)
	e.want.Store(&want)
	e.wake()
}

// Status returns all sessions, ordered by interface and peer; nil outside Run.
func (e *Engine) Status() []Status {
	answer := make(chan []Status, 1)
	e.mu.Lock()
	running := e.wakeFD >= 0
	e.mu.Unlock()
	if !running {
		return nil
	}
	select {
	case e.asks <- answer:
	case <-e.done:
		return nil
	}
	e.wake()
	select {
	case all := <-answer:
		return all
	case <-e.done:
		return nil
	}
}

// RealTime reports whether the packet thread runs under SCHED_FIFO.
func (e *Engine) RealTime() bool { return e.realTime.Load() }

// Stray counts the packets dropped because they fit no session: malformed,
// unknown discriminator or sender, forged distance (RFC 5881 §5).
func (e *Engine) Stray() uint64 { return e.stray.Load() }

// Run opens the sockets and works on a thread of its own until ctx ends, then
// takes every session to AdminDown with one packet. It may be called once.
func (e *Engine) Run(ctx context.Context) error {
	if err := e.open(); err != nil {
		return err
	}
	defer close(e.done)
	defer e.close()
	defer context.AfterFunc(ctx, e.wake)()

	log := newJournal(e.deps.Log)
	defer log.close()
	ended := make(chan error, 1)
	go func() {
		// Never unlocked: its scheduling class and namespace die with it.
		runtime.LockOSThread()
		ended <- e.work(ctx, log)
	}()
	return <-ended
}

func (e *Engine) work(ctx context.Context, log *journal) error {
	e.realTime.Store(raisePriority())
	if e.deps.Enter != nil {
		if err := e.deps.Enter(); err != nil {
			return fmt.Errorf("enter bfd namespace: %w", err)
		}
	}
	t, err := newThread(e, log)
	for deadline := time.Now().Add(portPatience); errors.Is(err, unix.EADDRINUSE) && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(portRetry):
		}
		t, err = newThread(e, log)
	}
	if err != nil {
		return err
	}
	defer t.close()
	return t.run(ctx)
}

func (e *Engine) open() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.started {
		return errors.New("run bfd engine: it ran already")
	}
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make bfd eventfd: %w", err)
	}
	e.wakeFD, e.started = fd, true
	return nil
}

func (e *Engine) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	unix.Close(e.wakeFD)
	e.wakeFD = -1
}

// wake makes the packet thread look at want, asks and its context.
func (e *Engine) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.wakeFD >= 0 {
		// It can only fail when the counter is full: the thread is awake then.
		_, _ = unix.Write(e.wakeFD, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}
}
