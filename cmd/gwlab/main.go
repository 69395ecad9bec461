// Command gwlab builds failover labs, breaks them and measures what happens.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"gwlab/lab"
)

// Exit codes. They are part of the interface: CI reads them.
const (
	exitPass     = 0
	exitFail     = 1 // fail or regressed
	exitBadInput = 2
	exitInvalid  = 3 // the tester was unfit, or the run was interrupted
	exitBroken   = 4 // the lab itself broke
)

// coded is an error that decides the exit code.
type coded struct {
	code int
	err  error
}

func (c coded) Error() string { return c.err.Error() }
func (c coded) Unwrap() error { return c.err }

func badInput(err error) error {
	if err == nil {
		return nil
	}
	return coded{exitBadInput, err}
}

func broken(err error) error {
	var known coded
	if err == nil || errors.As(err, &known) {
		return err
	}
	return coded{exitBroken, err}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// A second signal ends the program at once. Its lab goes all the same: a
	// supervisor takes down what nobody waits for any more.
	defer context.AfterFunc(ctx, stop)()
	os.Exit(execute(ctx, newApp(os.Stdin, os.Stdout, os.Stderr), os.Args[1:]))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, a *app, args []string) int {
	root := a.root()
	root.SetArgs(args)
	command, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitPass
	}
	var c coded
	if !errors.As(err, &c) { // cobra's own: unknown command, flag, argument
		c = coded{exitBadInput, fmt.Errorf("%w: see '%s --help'", err, command.CommandPath())}
		err = c
	}
	if !errors.Is(err, errVerdict) {
		a.complain(err)
	}
	return c.code
}

// placed matches an error that names its place in a file.
var placed = regexp.MustCompile(`^\S+:\d+:\d+: `)

// complain prints one line for each error. Those about a file begin with the
// place, as editors expect it, all others with the name of the program.
func (a *app) complain(err error) {
	for line := range strings.SplitSeq(strings.TrimSpace(err.Error()), "\n") {
		if !placed.MatchString(line) {
			line = "gwlab: " + line
		}
		fmt.Fprintln(a.err, line)
	}
}

// labError decides between the kinds of trouble with a lab: what the user can
// mend before anything was built, a signal, and what broke on the way.
func labError(ctx context.Context, err error) error {
	var refused lab.Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refused):
		return badInput(err)
	case ctx.Err() != nil:
		return coded{exitInvalid, fmt.Errorf("interrupted: %w", err)}
	}
	return broken(err)
}
