package proc

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// LabEnv is the environment variable that every process of a lab carries, with
// the lab's name as its value: leftovers are found by it and by nothing else.
const LabEnv = "GWLAB_LAB"

// RootEnv is the environment variable that tells labs of one name apart: its
// value says which directory of labs the process's lab is in. The labs of a
// container have a directory of their own.
const RootEnv = "GWLAB_ROOT"

// Config describes one node's sandbox.
type Config struct {
	Lab, Node string
	// Root is the value of RootEnv for the node's processes.
	Root string
	// Namespace is the path of the node's network namespace file.
	Namespace string
	// Dir is the node's directory on the host; its sub-directory "run"
	// becomes the node's /run, and the processes' logs are written to it.
	Dir string
	// Hosts is the text of the node's /etc/hosts.
	Hosts string
	// Init is the command that ends in NodeInit: the program and its first
	// arguments.
	Init []string
}

// Sandbox is a running node: an init with its own mount, PID and UTS
// namespaces in the node's network namespace.
type Sandbox struct {
	cfg     Config
	spawner *Spawner
	cmd     *exec.Cmd
	control *os.File
	inside  []namespace // held open: a pid could come to mean another process
	ended   chan struct{}
	running sync.WaitGroup // processes whose end has not been noticed yet
}

// Start makes the sandbox and returns when its file system is ready.
func (s *Spawner) Start(ctx context.Context, cfg Config) (*Sandbox, error) {
	set, err := writeNodeFiles(cfg)
	if err != nil {
		return nil, err
	}
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	network, err := openNetwork(cfg.Namespace)
	if err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	defer closeNamespaces(network)
	log, err := openLog(filepath.Join(cfg.Dir, "init.log"))
	if err != nil {
		return nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	defer log.Close() //nolint:errcheck // the init holds its own copy
	cmd := exec.Command(cfg.Init[0], cfg.Init[1:]...)
	cmd.Dir, cmd.Env = "/", environment(cfg, nil)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS,
		Pdeathsig:  unix.SIGKILL,
		Setsid:     true,
	}
	err = s.start(ctx, cmd, network)
	// The init holds its own copy, and with it the only one: its end must be
	// the end of what is read from ours.
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, fmt.Errorf("start init of %s: %w", cfg.Node, errors.Join(err, ours.Close()))
	}
	sb := &Sandbox{cfg: cfg, spawner: s, cmd: cmd, control: ours, ended: make(chan struct{})}
	go func() {
		cmd.Wait() //nolint:errcheck // that it ended is all there is to know
		close(sb.ended)
	}()
	err = sb.handshake(ctx, set)
	if err == nil {
		sb.inside, err = openSandbox(sb.Pid())
	}
	if err != nil {
		return nil, fmt.Errorf("start init of %s: %w", cfg.Node, errors.Join(err, sb.Kill()))
	}
	return sb, nil
}

// handshake tells the init what to set up and waits for its answer.
func (sb *Sandbox) handshake(ctx context.Context, set setup) error {
	stop := context.AfterFunc(ctx, func() { sb.cmd.Process.Kill() }) //nolint:errcheck // the read below sees the end
	defer stop()
	if err := json.NewEncoder(sb.control).Encode(set); err != nil {
		return fmt.Errorf("tell init: %w", err)
	}
	answer, err := bufio.NewReader(sb.control).ReadString('\n')
	if err != nil {
		return fmt.Errorf("hear from init (see %s): %w", filepath.Join(sb.cfg.Dir, "init.log"), err)
	}
	if answer = strings.TrimSpace(answer); answer != "ok" {
		return errors.New(answer)
	}
	return nil
}

// Pid is the init's process id on the host.
func (sb *Sandbox) Pid() int { return sb.cmd.Process.Pid }

// Ended is closed when the init and with it all of the sandbox is gone.
func (sb *Sandbox) Ended() <-chan struct{} { return sb.ended }

// Shoot sends SIGKILL to the init and does not wait for the end.
func (sb *Sandbox) Shoot() error {
	if err := sb.cmd.Process.Signal(unix.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill init of %s: %w", sb.cfg.Node, err)
	}
	return nil
}

// Kill ends every process of the sandbox at once and waits until the last
// one is gone and its end noticed. Killing a dead sandbox does nothing.
func (sb *Sandbox) Kill() error {
	err := sb.Shoot()
	<-sb.ended
	sb.running.Wait()
	closeNamespaces(sb.inside)
	// Closed already by an earlier Kill is as good.
	if cerr := sb.control.Close(); cerr != nil && !errors.Is(cerr, os.ErrClosed) {
		err = errors.Join(err, fmt.Errorf("close control of %s: %w", sb.cfg.Node, cerr))
	}
	return err
}

// writeNodeFiles lays out the node's directory and names its binds.
func writeNodeFiles(cfg Config) (setup, error) {
	s := setup{
		Hostname: cfg.Node,
		Run:      filepath.Join(cfg.Dir, "run"),
		Hosts:    filepath.Join(cfg.Dir, "hosts"),
		Resolv:   filepath.Join(cfg.Dir, "resolv.conf"),
	}
	// /run/lock is what /var/lock points at on Debian.
	if err := os.MkdirAll(filepath.Join(s.Run, "lock"), 0o755); err != nil {
		return s, fmt.Errorf("make directory of node: %w", err)
	}
	if err := os.WriteFile(s.Hosts, []byte(cfg.Hosts), 0o644); err != nil {
		return s, fmt.Errorf("write hosts of node: %w", err)
	}
	if err := os.WriteFile(s.Resolv, nil, 0o644); err != nil {
		return s, fmt.Errorf("write resolv.conf of node: %w", err)
	}
	return s, nil
}

// environment of a process in the node: nothing of the caller's leaks in.
func environment(cfg Config, extra map[string]string) []string {
	env := []string{
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root", "LANG=C.UTF-8",
		LabEnv + "=" + cfg.Lab, RootEnv + "=" + cfg.Root, "GWLAB_NODE=" + cfg.Node,
	}
	for k, v := range extra {
		env = append(env, k+"="+v)
	}
	return env
}

func openLog(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}
