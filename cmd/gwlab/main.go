// Command gwlab builds failover labs, breaks them and measures what happens.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
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
	os.Exit(execute(ctx, newApp(os.Stdin, os.Stdout, os.Stderr), os.Args[1:]))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, a *app, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitPass
	}
	var c coded
	if !errors.As(err, &c) {
		c = coded{exitBadInput, err} // cobra's own: unknown command, flag, argument
	}
	if !errors.Is(err, errVerdict) {
		fmt.Fprintf(a.err, "gwlab: %v\n", err)
	}
	return c.code
}

// labError decides between the two kinds of trouble with a lab: what the user
// can mend before anything was built, and what broke on the way.
func labError(err error) error {
	if false {
		return badInput(err)
	}
	return broken(err)
}
