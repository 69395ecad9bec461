package probe

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"gwlab/reports/convergence"
)

// stopTime is how long the process may take to end beyond its drain time.
const stopTime = 10 * time.Second

var errNoResult = errors.New("the probe ended without a result")

// Options of a session.
type Options struct {
	// Command starts the probe process, such as {"/usr/bin/gwlab", "probe"}.
	Command []string
	Env     []string // as exec.Cmd.Env; nil for the caller's
	Spec    Spec
}

// Session is a running probe process.
type Session struct {
	flows    []convergence.Flow
	drain    time.Duration
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	stderr   bytes.Buffer
	progress chan []convergence.FlowProgress
	started  chan int64
	done     chan struct{} // closed when the process has been waited for
	closeIn  sync.Once

	// Valid once done is closed.
	health convergence.Health
	err    error
}

// Start starts the probe and returns once it is about to send. The end of
// ctx stops the probe in order, as Stop does; what it measured until then is
// still to be had from Stop.
func Start(ctx context.Context, o Options) (*Session, error) {
	if len(o.Command) == 0 {
		return nil, errors.New("start probe: no command")
	}
	if _, err := o.Spec.prepare(); err != nil {
		return nil, err
	}
	s := &Session{
		drain:    o.Spec.Drain,
		cmd:      exec.Command(o.Command[0], o.Command[1:]...),
		progress: make(chan []convergence.FlowProgress, 1),
		started:  make(chan int64, 1),
		done:     make(chan struct{}),
	}
	for _, f := range o.Spec.Flows {
		s.flows = append(s.flows, f.Flow)
	}
	s.cmd.Env, s.cmd.Stderr = o.Env, &s.stderr
	// A group of its own: an interrupt from the terminal is for the caller,
	// who then stops the probe and has its measurement.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	if err := s.launch(); err != nil {
		return nil, fmt.Errorf("start probe: %w", err)
	}
	context.AfterFunc(ctx, s.closeStdin)
	if err := json.NewEncoder(s.stdin).Encode(o.Spec); err != nil {
		s.kill()
		return nil, fmt.Errorf("start probe: %w", errors.Join(s.err, err))
	}
	select {
	case <-s.started:
		return s, nil
	case <-s.done:
		return nil, fmt.Errorf("start probe: %w", cmp.Or(s.err, errNoResult))
	case <-ctx.Done():
		s.kill()
		return nil, fmt.Errorf("start probe: %w", ctx.Err())
	}
}

// launch starts the process from a thread that lives as long as it does: the
// kernel sends the death signal when the thread that started it ends.
func (s *Session) launch() error {
	stdin, err := s.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	s.stdin = stdin
	up := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := s.cmd.Start()
		up <- err
		if err != nil {
			return
		}
		defer close(s.done)
		defer close(s.progress)
		if err = s.read(stdout); err != nil {
			_ = s.cmd.Process.Kill() // it may be waiting for a reader
		}
		if wait := s.cmd.Wait(); err == nil && wait != nil || errors.Is(err, errNoResult) {
			err = fmt.Errorf("%w: %s", cmp.Or(wait, err), strings.TrimSpace(s.stderr.String()))
		}
		s.err = err
	}()
	return <-up
}

// read takes everything the process tells.
func (s *Session) read(stdout io.Reader) error {
	in := bufio.NewReaderSize(stdout, 1<<16)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			return errNoResult
		}
		var m message
		if err := json.Unmarshal(line, &m); err != nil {
			return fmt.Errorf("read probe: %w", err)
		}
		switch {
		case m.Error != "":
			return errors.New(m.Error)
		case m.Started:
			s.announce(m.T)
		case m.Final != nil:
			return s.finish(*m.Final, in)
		default:
			s.publish(m.Progress)
		}
	}
}

// announce tells Start; a second time is ignored.
func (s *Session) announce(t int64) {
	select {
	case s.started <- t:
	default:
	}
}

// publish keeps only the newest progress for a reader that is slow.
func (s *Session) publish(p []convergence.FlowProgress) {
	select {
	case <-s.progress:
	default:
	}
	s.progress <- p
}

func (s *Session) finish(f final, in io.Reader) error {
	if len(f.Flows) != len(s.flows) {
		return fmt.Errorf("read probe: %d flows came back of %d", len(f.Flows), len(s.flows))
	}
	for i, c := range f.Flows {
		s.flows[i].Duplicates, s.flows[i].Reordered = c.Duplicates, c.Reordered
	}
	s.health = f.Health
	if err := convergence.ReadSamples(in, s.flows); err != nil {
		return err
	}
	if f.Limited {
		return errors.New("probe reached its time limit before it was stopped")
	}
	return nil
}

// Progress tells about every 20 ms what became of the packets so far; only
// the newest is kept. It is closed when the probe has ended.
func (s *Session) Progress() <-chan []convergence.FlowProgress { return s.progress }

// Stop ends sending, waits for late packets and returns the flows with their
// packets and the tester's health. It kills the process when ctx ends or it
// does not obey. Later calls return the same.
func (s *Session) Stop(ctx context.Context) ([]convergence.Flow, convergence.Health, error) {
	s.closeStdin()
	limit := time.NewTimer(s.drain + stopTime)
	defer limit.Stop()
	var err error
	select {
	case <-s.done:
	case <-ctx.Done():
		err = ctx.Err()
		s.kill()
	case <-limit.C:
		err = errors.New("it did not end in time")
		s.kill()
	}
	if err := errors.Join(err, s.err); err != nil {
		return s.flows, s.health, fmt.Errorf("stop probe: %w", err)
	}
	return s.flows, s.health, nil
}

func (s *Session) closeStdin() {
	s.closeIn.Do(func() {
		// Either may find the process gone already, which is what they want.
		_, _ = io.WriteString(s.stdin, "stop\n")
		_ = s.stdin.Close()
	})
}

func (s *Session) kill() {
	_ = s.cmd.Process.Kill() // fails only when it has ended
	<-s.done
}
