package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"gwlab/lab"
	"gwlab/lab/probe"
	"gwlab/lab/proc"
)

// The commands by which the program runs parts of itself as processes.

func (a *app) supervise() *cobra.Command {
	return &cobra.Command{
		Use: "supervise DIR", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return broken(lab.Supervise(c.Context(), args[0])) },
	}
}

func (a *app) nodeInit() *cobra.Command {
	return &cobra.Command{
		Use: "node-init", Hidden: true, DisableFlagParsing: true,
		RunE: func(*cobra.Command, []string) error { return broken(proc.NodeInit()) },
	}
}

func (a *app) probe() *cobra.Command {
	return &cobra.Command{
		Use: "probe", Hidden: true, Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return broken(probe.Main(c.Context(), a.in, a.out)) },
	}
}

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  gwlab version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.output == "json" {
				return a.json(map[string]string{"version": version(), "go": runtime.Version()})
			}
			fmt.Fprintf(a.out, "gwlab %s %s\n", version(), runtime.Version())
			return nil
		},
	}
}

// version is the commit this was built from, or the module's version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return info.Main.Version
}
