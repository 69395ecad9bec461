package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"gwlab/internal/monotime"
)

// Command is a process to run in a sandbox.
type Command struct {
	Name string // unique in the node; its log is Name.log
	Argv []string
	Env  map[string]string
	// Restart starts it again whenever it ends by itself.
	Restart bool
}

// State of a process.
type State string

const (
	Running State = "running"
	Waiting State = "restarting" // ended; starts again after a pause
	Exited  State = "exited"     // ended and not to be started again
	Held    State = "killed"     // signalled to death; Start brings it back
)

// Change is a process that started or ended.
type Change struct {
	At      int64 // CLOCK_MONOTONIC, ns
	Node    string
	Process string
	Started bool
	Pid     int    // on the host
	Reason  string // how it ended: "exit status 1", "signal: killed"
}

// Process is a supervised process of a sandbox.
type Process struct {
	sb       *Sandbox
	cmd      Command
	onChange func(Change)

	mu       sync.Mutex
	state    State
	instance *exec.Cmd     // the running one
	ended    chan struct{} // of the running one, closed after its end is noticed
	wake     chan struct{} // ends the pause before a restart
	started  time.Time
	failures int // ends in a row that came too soon
	reason   string
}

// Launch starts a command in the sandbox and supervises it until the sandbox
// ends. onChange is told of every start and end, in order, and must not block.
func (sb *Sandbox) Launch(ctx context.Context, cmd Command, onChange func(Change)) (*Process, error) {
	p := &Process{sb: sb, cmd: cmd, onChange: onChange, state: Exited}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.fork(ctx); err != nil {
		return nil, err
	}
	return p, nil
}

// fork starts an instance; p.mu is held.
func (p *Process) fork(ctx context.Context) error {
	log, err := openLog(filepath.Join(p.sb.cfg.Dir, p.cmd.Name+".log"))
	if err != nil {
		return err
	}
	defer log.Close() //nolint:errcheck // the process holds its own copy
	c := exec.Command(p.cmd.Argv[0], p.cmd.Argv[1:]...)
	if c.Err != nil {
		return fmt.Errorf("start %s on %s: %w", p.cmd.Name, p.sb.cfg.Node, c.Err)
	}
	c.Dir, c.Env = "/", environment(p.sb.cfg, p.cmd.Env)
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := p.sb.spawner.start(ctx, c, p.sb.inside); err != nil {
		return fmt.Errorf("start %s on %s: %w", p.cmd.Name, p.sb.cfg.Node, err)
	}
	p.instance, p.ended, p.state = c, make(chan struct{}), Running
	p.started, p.reason = time.Now(), ""
	p.onChange(Change{At: monotime.Now(), Node: p.sb.cfg.Node, Process: p.cmd.Name, Started: true, Pid: c.Process.Pid})
	p.sb.running.Add(1)
	go p.watch(c, p.ended)
	return nil
}

// watch waits for the end of one instance and follows the restart policy.
func (p *Process) watch(c *exec.Cmd, ended chan struct{}) {
	defer p.sb.running.Done()
	c.Wait() //nolint:errcheck // how it ended stands in the state
	at := monotime.Now()
	p.mu.Lock()
	p.reason, p.instance = c.ProcessState.String(), nil
	p.onChange(Change{At: at, Node: p.sb.cfg.Node, Process: p.cmd.Name, Pid: c.Process.Pid, Reason: p.reason})
	again := p.state == Running && p.cmd.Restart
	switch {
	case again:
		p.state, p.wake = Waiting, make(chan struct{})
	case p.state == Running:
		p.state = Exited
	}
	pause := p.pause()
	wake := p.wake
	close(ended)
	p.mu.Unlock()
	for again && p.await(pause, wake) {
		p.mu.Lock()
		if p.state != Waiting {
			p.mu.Unlock()
			return
		}
		err := p.fork(context.Background())
		if err != nil {
			p.reason = err.Error()
			p.failures++
			pause = backoff(p.failures)
		}
		p.mu.Unlock()
		again = err != nil
	}
}

// await is over after the pause, when a waiter is woken, or in vain when the
// sandbox ends.
func (p *Process) await(pause time.Duration, wake <-chan struct{}) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-p.sb.ended:
		return false
	case <-wake:
		return false
	case <-timer.C:
		// A sandbox that has just been shot is not restarted into.
		select {
		case <-p.sb.ended:
			return false
		default:
			return true
		}
	}
}

// steady is how long a process must have run for its end to be a first one.
const steady = 5 * time.Second

// pause before the next start, from how often it ended too soon; p.mu is held.
func (p *Process) pause() time.Duration {
	if time.Since(p.started) >= steady {
		p.failures = 0
	}
	p.failures++
	return backoff(p.failures)
}

// backoff after the n-th failure in a row: at once, then 100 ms doubling to 2 s.
func backoff(n int) time.Duration {
	if n <= 1 {
		return 0
	}
	return min(100*time.Millisecond<<min(n-2, 8), 2*time.Second)
}

// deadly are the signals after which a process is held down until Start.
var deadly = [...]syscall.Signal{unix.SIGKILL, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGABRT, unix.SIGSEGV}

// Signal sends a signal by its name, with or without "SIG". A deadly one
// keeps the process down until Start. It returns the instants around the act;
// after SIGKILL only once the process is gone. Killing a process that does
// not run only holds it down.
func (p *Process) Signal(ctx context.Context, name string) (call, done int64, err error) {
	sig := unix.SignalNum("SIG" + strings.TrimPrefix(strings.ToUpper(name), "SIG"))
	if sig == 0 {
		return 0, 0, fmt.Errorf("signal %s: %q is not a signal: use a name such as KILL, TERM, HUP, STOP or CONT", p.cmd.Name, name)
	}
	p.mu.Lock()
	kills := isDeadly(sig)
	if kills {
		p.hold()
	}
	c, ended := p.instance, p.ended
	call = monotime.Now()
	if c != nil {
		err = c.Process.Signal(sig)
	}
	done = monotime.Now()
	p.mu.Unlock()
	switch {
	case c == nil && !kills:
		return call, done, fmt.Errorf("signal %s on %s: it does not run", p.cmd.Name, p.sb.cfg.Node)
	case errors.Is(err, os.ErrProcessDone):
		err = nil
	case err != nil:
		return call, done, fmt.Errorf("signal %s on %s: %w", p.cmd.Name, p.sb.cfg.Node, err)
	}
	if c == nil || sig != unix.SIGKILL {
		return call, done, err
	}
	select {
	case <-ended:
		return call, done, nil
	case <-ctx.Done():
		return call, done, fmt.Errorf("wait for the end of %s on %s: %w", p.cmd.Name, p.sb.cfg.Node, ctx.Err())
	}
}

// hold keeps the process from being restarted; p.mu is held.
func (p *Process) hold() {
	if p.state == Waiting {
		close(p.wake)
	}
	p.state = Held
}

func isDeadly(sig syscall.Signal) bool {
	for _, d := range deadly {
		if sig == d {
			return true
		}
	}
	return false
}

// Start brings back a process that was killed or has ended; a running one is
// left alone.
func (p *Process) Start(ctx context.Context) (call, done int64, err error) {
	p.mu.Lock()
	ended := p.ended
	held := p.state == Held && p.instance != nil
	p.mu.Unlock()
	if held { // signalled, and still on its way out
		select {
		case <-ended:
		case <-ctx.Done():
			return 0, 0, fmt.Errorf("wait for the end of %s on %s: %w", p.cmd.Name, p.sb.cfg.Node, ctx.Err())
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	call = monotime.Now()
	if p.instance == nil {
		if p.state == Waiting {
			p.hold()
		}
		p.failures = 0
		err = p.fork(ctx)
	}
	return call, monotime.Now(), err
}

// Status of a process.
type Status struct {
	Name     string `json:"name"`
	State    State  `json:"state"`
	Pid      int    `json:"pid,omitempty"`      // on the host
	NodePid  int    `json:"node_pid,omitempty"` // inside the node
	Reason   string `json:"reason,omitempty"`   // how the last instance ended
	Failures int    `json:"failures,omitempty"`
}

// Status tells how the process is now.
func (p *Process) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Name: p.cmd.Name, State: p.state, Reason: p.reason, Failures: p.failures}
	if p.instance != nil {
		s.Pid = p.instance.Process.Pid
		s.NodePid = nodePid(s.Pid)
	}
	return s
}

// nodePid is a process's id in its own PID namespace, 0 when it is gone.
func nodePid(pid int) int {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if ids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			all := strings.Fields(ids)
			n, _ := strconv.Atoi(all[len(all)-1]) // the kernel writes numbers
			return n
		}
	}
	return 0
}
