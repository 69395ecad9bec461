package proc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Target is a node to enter.
type Target struct {
	Lab, Node string
	Root      string // as in Config
	Namespace string // path of the network namespace's file
	InitPid   int    // of the sandbox, 0 for a node without one
	// Tools is a directory that commands are looked for in after PATH; empty
	// for none.
	Tools string
}

// Stdio is what a command in a node reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exec runs a command in a node's namespaces and returns its exit code. On a
// terminal the command gets the terminal's foreground, as in a shell, so that
// Ctrl-C is its own; it is killed when ctx ends.
func Exec(ctx context.Context, t Target, argv []string, stdio Stdio) (int, error) {
	if len(argv) == 0 {
		return 0, fmt.Errorf("exec on %s: no command given", t.Node)
	}
	into, err := t.open()
	if err != nil {
		return 0, fmt.Errorf("exec on %s: %w", t.Node, err)
	}
	defer closeNamespaces(into)
	cmd := exec.CommandContext(ctx, t.find(argv[0]), argv[1:]...)
	cmd.Args[0] = argv[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdio.In, stdio.Out, stdio.Err
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), LabEnv+"="+t.Lab, RootEnv+"="+t.Root, "GWLAB_NODE="+t.Node)
	if t.Tools != "" {
		cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH")+":"+t.Tools)
	}
	tty := terminal(stdio.In)
	if tty >= 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Foreground: true, Ctty: tty}
	}
	started := make(chan error, 1)
	onThread(func() { started <- startInside(cmd, into) })
	if err := <-started; err != nil {
		return 0, fmt.Errorf("exec on %s: %w", t.Node, err)
	}
	err = cmd.Wait()
	if tty >= 0 {
		err = errors.Join(err, takeForeground(tty))
	}
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), ctx.Err()
		}
		return exit.ExitCode(), ctx.Err()
	case err != nil:
		return 0, fmt.Errorf("exec on %s: %w", t.Node, err)
	}
	return 0, nil
}

// find looks for a command that is not in PATH among the tools.
func (t Target) find(command string) string {
	if _, err := exec.LookPath(command); err == nil || strings.Contains(command, "/") || t.Tools == "" {
		return command
	}
	if tool := filepath.Join(t.Tools, command); isFile(tool) {
		return tool
	}
	return command
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

func (t Target) open() ([]namespace, error) {
	if t.InitPid == 0 {
		return openNetwork(t.Namespace)
	}
	return openSandbox(t.InitPid)
}

func startInside(cmd *exec.Cmd, into []namespace) error {
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return fmt.Errorf("unshare root directory: %w", err)
	}
	if err := enter(into); err != nil {
		return err
	}
	return cmd.Start()
}

// terminal returns the descriptor of a reader that is the process's
// controlling terminal, -1 for anything else.
func terminal(in io.Reader) int {
	f, ok := in.(*os.File)
	if !ok {
		return -1
	}
	fd := int(f.Fd())
	if _, err := unix.IoctlGetInt(fd, unix.TIOCGPGRP); err != nil {
		return -1
	}
	return fd
}

// takeForeground makes the caller's process group the terminal's foreground
// again; a background process that asks for it is sent SIGTTOU first.
func takeForeground(tty int) error {
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	if err := unix.IoctlSetPointerInt(tty, unix.TIOCSPGRP, unix.Getpgrp()); err != nil {
		return fmt.Errorf("take the terminal back: %w", err)
	}
	return nil
}
