package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gwlab/lab"
	"gwlab/lab/proc"
	"gwlab/scenarios"
	"gwlab/topologies"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:     "status [LAB]",
		Short:   "Show a lab's nodes, addresses, sessions and links",
		Example: "  gwlab status dual-isp",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := a.attach(c, args)
			if err != nil {
				return err
			}
			defer l.Close() //nolint:errcheck // the connection of a client that is done
			s, err := l.Status(c.Context())
			if err != nil {
				return broken(err)
			}
			if a.output == "json" {
				return a.json(s)
			}
			a.showStatus(s)
			return nil
		},
	}
}

func (a *app) attach(c *cobra.Command, args []string) (*lab.Lab, error) {
	name, err := a.theLab(c, args)
	if err != nil {
		return nil, err
	}
	l, err := lab.Attach(c.Context(), name)
	if err != nil {
		return nil, badInput(err)
	}
	return l, nil
}

func (a *app) list() *cobra.Command {
	return &cobra.Command{
		Use:       "list [labs|topologies|scenarios]",
		Short:     "List labs, or what the library has",
		Example:   "  gwlab list scenarios",
		Args:      cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs),
		ValidArgs: []string{"labs", "topologies", "scenarios"},
		RunE: func(c *cobra.Command, args []string) error {
			switch append(args, "labs")[0] {
			case "topologies":
				return a.listTopologies()
			case "scenarios":
				return a.listScenarios()
			default:
				return a.listLabs(c)
			}
		},
	}
}

func (a *app) listLabs(c *cobra.Command) error {
	labs, err := lab.List(c.Context())
	if err != nil {
		return broken(err)
	}
	if a.output == "json" {
		return a.json(labs)
	}
	if len(labs) == 0 {
		fmt.Fprintln(a.out, "no lab is up: gwlab up -t dual-isp")
		return nil
	}
	w := a.table()
	fmt.Fprintln(w, "LAB\tSTATE\tTOPOLOGY\tNODES\tSINCE\tSUPERVISOR")
	hidden := false
	for _, l := range labs {
		since := "-"
		if !l.Since.IsZero() {
			since = l.Since.Format(time.DateTime)
		}
		hidden = hidden || l.State == lab.Unknown
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\tpid %d\n", l.Name, l.State, cmp.Or(l.Topology, "-"), l.Nodes, since, l.Pid)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if hidden {
		fmt.Fprintln(a.err, "not root: run it again with sudo to see the state of labs shown as unknown")
	}
	return nil
}

func (a *app) listTopologies() error {
	var all []*topologies.Topology
	for _, name := range topologies.Names() {
		t, err := topologies.Load(topologies.Library(), name)
		if err != nil {
			return broken(err)
		}
		all = append(all, t)
	}
	type row struct {
		Name  string `json:"name"`
		About string `json:"about"`
	}
	var rows []row
	for _, t := range all {
		rows = append(rows, row{t.Name, t.About})
	}
	return listed(a, rows, "TOPOLOGY\tABOUT", func(w io.Writer, r row) { fmt.Fprintf(w, "%s\t%s\n", r.Name, r.About) })
}

func (a *app) listScenarios() error {
	all, err := scenarios.All(scenarios.Library())
	if err != nil {
		return broken(err)
	}
	type row struct {
		ID       string `json:"id"`
		Topology string `json:"topology"`
		About    string `json:"about"`
	}
	var rows []row
	for _, s := range all {
		rows = append(rows, row{s.ID, s.Topology, s.About})
	}
	return listed(a, rows, "SCENARIO\tTOPOLOGY\tABOUT", func(w io.Writer, r row) {
		fmt.Fprintf(w, "%s\t%s\t%s\n", r.ID, r.Topology, r.About)
	})
}

func listed[R any](a *app, rows []R, head string, line func(io.Writer, R)) error {
	if a.output == "json" {
		return a.json(rows)
	}
	w := a.table()
	fmt.Fprintln(w, head)
	for _, r := range rows {
		line(w, r)
	}
	return w.Flush()
}

func (a *app) exec() *cobra.Command {
	return &cobra.Command{
		Use:     "exec LAB NODE [-- COMMAND…]",
		Short:   "Run a command in a node, or a shell",
		Example: "  gwlab exec dual-isp gw1 -- gatewayd status",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := a.attach(c, args[:1])
			if err != nil {
				return err
			}
			defer l.Close() //nolint:errcheck // the connection of a client that is done
			argv := args[2:]
			if len(argv) == 0 {
				argv = []string{"/bin/sh"}
			}
			code, err := l.Exec(c.Context(), args[1], argv, proc.Stdio{In: os.Stdin, Out: a.out, Err: a.err})
			if err != nil {
				return badInput(err)
			}
			if code != 0 {
				return coded{code, fmt.Errorf("%s on %s: exit status %d: %w", argv[0], args[1], code, errVerdict)}
			}
			return nil
		},
	}
}

// errVerdict marks an exit code whose reason was already told.
var errVerdict = errors.New("told")
