package bfd

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	workerSocket = 3
	// workerProcs leaves a processor of the Go scheduler for the packet
	// thread whatever the worker's three other goroutines are at.
	workerProcs = 6
)

// IsWorker reports whether this process was started by Isolated.
func IsWorker() bool { return len(os.Args) > 0 && os.Args[0] == workerName }

// WorkerMain is the main of a worker process; it returns the exit status. The
// worker lives as long as its parent holds the socket: it ignores the
// signals of the parent's terminal and service manager.
func WorkerMain() int {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	runtime.GOMAXPROCS(workerProcs)
	raiseAllThreads()
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "bfd worker:", err)
		return 1
	}
	return 0
}

// work runs an Engine by the orders from the socket.
func work() error {
	socket := os.NewFile(workerSocket, workerName)
	defer socket.Close() //nolint:errcheck // the process ends with it
	// Room for several transitions of each of many sessions: the packet thread
	// never waits for the parent. A parent deaf for longer loses some, and
	// sees where the sessions stand by Status.
	reports := make(chan report, 16384)
	say := func(r report) {
		select {
		case reports <- r:
		default:
		}
	}
	engine, err := New(Deps{
		Changes: func(c Change) { say(report{Change: &c}) },
		Log:     slog.New(logForwarder(say)),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var in, out sync.WaitGroup
	in.Go(func() {
		defer cancel()
		obey(gob.NewDecoder(socket), engine, reports)
	})
	out.Go(func() {
		encoder := gob.NewEncoder(socket)
		for r := range reports {
			_ = encoder.Encode(r) // a parent that is gone is noticed by obey
		}
	})
	if err := engine.Run(ctx); err != nil {
		reports <- report{Err: err.Error()}
	}
	hangUp(socket, unix.SHUT_RD)
	in.Wait()
	close(reports)
	out.Wait()
	return nil
}

// obey reads orders until the parent hangs up.
func obey(orders *gob.Decoder, engine *Engine, reports chan<- report) {
	for {
		var o order
		if orders.Decode(&o) != nil {
			return
		}
		if o.Set {
			engine.Set(o.Want)
		}
		if o.Ask {
			sessions := engine.Status()
			reports <- report{Answer: &answer{Running: sessions != nil, Sessions: sessions,
				RealTime: engine.RealTime(), Stray: engine.Stray()}}
		}
	}
}

// raiseAllThreads puts the threads the Go runtime has already started under
// SCHED_FIFO, below the packet thread; what they start inherits it.
func raiseAllThreads() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return // no /proc: only the packet thread will be real-time
	}
	for _, task := range tasks {
		tid, err := strconv.Atoi(task.Name())
		if err != nil {
			continue
		}
		err = unix.SchedSetAttr(tid, &unix.SchedAttr{
			Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: realTimePriority - 1}, 0)
		if errors.Is(err, unix.EPERM) {
			return
		}
	}
}

// logForwarder is a slog.Handler that sends its records to the parent.
type logForwarder func(report)

// Enabled lets everything through: the parent's handler decides.
func (logForwarder) Enabled(context.Context, slog.Level) bool { return true }

// Handle sends r.
func (f logForwarder) Handle(_ context.Context, r slog.Record) error {
	line := &logLine{Level: r.Level, Message: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		line.Attrs = append(line.Attrs, [2]string{a.Key, a.Value.String()})
		return true
	})
	f(report{Log: line})
	return nil
}

// WithAttrs is never called by this package's journal.
func (f logForwarder) WithAttrs([]slog.Attr) slog.Handler { return f }

// WithGroup is never called by this package's journal.
func (f logForwarder) WithGroup(string) slog.Handler { return f }

func (l *logLine) write(log *slog.Logger) {
	attrs := make([]slog.Attr, 0, len(l.Attrs))
	for _, a := range l.Attrs {
		attrs = append(attrs, slog.String(a[0], a[1]))
	}
	log.LogAttrs(context.Background(), l.Level, l.Message, attrs...)
}
