// Command gatewayd is the gateway: BGP, BFD and the kernel's routes.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"gwlab/gateway"
)

// Exit codes.
const (
	exitOK       = 0
	exitBroken   = 1 // the daemon failed while it ran
	exitBadInput = 2 // something the user can mend: flags, configuration, the machine
)

const (
	defaultConfig = "/etc/gatewayd/gatewayd.yaml"
	defaultSocket = "/run/gatewayd/gatewayd.sock"
)

func main() {
	if status, worker := gateway.Worker(); worker {
		os.Exit(status)
	}
	os.Exit(execute(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, out, errOut io.Writer) int {
	root := &cobra.Command{
		Use:   "gatewayd",
		Short: "A network gateway: BGP, BFD and routes that fail over at once",
		Long: "gatewayd speaks BGP and BFD with its neighbors and keeps the kernel's routes.\n" +
			"A dead neighbor is taken out of every route at once, whatever their number.",
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.AddCommand(runCommand(), checkCommand(), statusCommand(), eventsCommand(), versionCommand())
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	var inFile fileError
	if errors.As(err, &inFile) {
		fmt.Fprintln(errOut, err)
		return exitBadInput
	}
	fmt.Fprintln(errOut, "gatewayd:", err)
	var failed brokenError
	if errors.As(err, &failed) {
		return exitBroken
	}
	return exitBadInput
}

// fileError is a configuration's: each of its lines names its place.
type fileError struct{ error }

func (e fileError) Unwrap() error { return e.error }

// brokenError is a failure that no other input would have avoided.
type brokenError struct{ error }

func (e brokenError) Unwrap() error { return e.error }

// blame sorts an error of the daemon into the two kinds.
func blame(err error) error {
	var setup *gateway.SetupError
	if err == nil || errors.As(err, &setup) {
		return err
	}
	return brokenError{err}
}
