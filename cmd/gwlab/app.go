package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gwlab/lab/kind"
)

// app is what every command shares: the streams and the flags of the root.
type app struct {
	in       io.Reader
	out, err io.Writer
	terminal bool   // out is one: colours and live progress are welcome
	output   string // -o: table or json
}

func newApp(in io.Reader, out, err io.Writer) *app {
	f, ok := out.(*os.File)
	return &app{in: in, out: out, err: err, terminal: ok && term.IsTerminal(int(f.Fd()))}
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "gwlab",
		Short:         "Build a network, break it, and measure how long each flow was dark",
		Long:          "gwlab builds gateway networks out of namespaces and cables on this machine,\nruns real gateways in them, injects failures and measures convergence.",
		SilenceErrors: true, SilenceUsage: true,
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.output != "table" && a.output != "json" {
				return badInput(fmt.Errorf("unknown output %q: use -o table or -o json", a.output))
			}
			return nil
		},
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.DisableSuggestions = true // an error is one line
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.PersistentFlags().StringVarP(&a.output, "output", "o", "table", "output format: table or json")
	root.AddCommand(a.up(), a.down(), a.list(), a.status(), a.exec(), a.run(), a.report(),
		a.validate(), a.doctor(), a.sweep(), a.supervise(), a.nodeInit(), a.probe(), a.version())
	return root
}

// called is how the user calls this program: the commands that it suggests
// work when they are copied.
func called() string {
	if os.Getenv("SUDO_USER") != "" {
		return "sudo " + os.Args[0]
	}
	return os.Args[0]
}

// binaries finds the programs labs run: gatewayd beside this program unless
// named, the others where their packages put them. Gateway nodes alone run
// the build that --gateway names, if it names one.
func binaries(gatewayd, gateway string) (kind.Binaries, error) {
	b := kind.DefaultBinaries()
	b.UnderTest = build(gateway)
	if gatewayd != "" {
		b.Gatewayd = gatewayd
		return b, nil
	}
	self, err := os.Executable()
	if err != nil {
		return b, fmt.Errorf("find gatewayd: %w", err)
	}
	b.Gatewayd = filepath.Join(filepath.Dir(self), "gatewayd")
	return b, nil
}

// topologyFlag adds -t to a command.
func topologyFlag(c *cobra.Command, ref *string) {
	c.Flags().StringVarP(ref, "topology", "t", "dual-isp", "topology: a *.topo.yaml file or a library name")
}
