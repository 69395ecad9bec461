package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gwlab/lab/capability"
	"gwlab/scenarios"
	"gwlab/topologies"
)

func (a *app) validate() *cobra.Command {
	return &cobra.Command{
		Use:   "validate FILE…",
		Short: "Check topology and scenario files without building anything",
		Long: `Check topology and scenario files, or library names, without building anything.
Every error is one line: file:line:column: what, and how to mend it.`,
		Example: "  gwlab validate dual-isp UPLINK-02",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			type row struct {
				File string `json:"file"`
				What string `json:"what"`
			}
			var errs []error
			rows := []row{}
			for _, arg := range args {
				what, err := check(arg)
				if err != nil {
					errs = append(errs, err)
					continue
				}
				rows = append(rows, row{arg, what})
			}
			if a.output == "json" {
				errs = append(errs, a.json(rows))
			} else {
				for _, r := range rows {
					fmt.Fprintf(a.out, "%s: %s\n", r.File, r.What)
				}
			}
			return badInput(errors.Join(errs...))
		},
	}
}

// check parses one file or library name as what it is.
func check(arg string) (string, error) {
	src, err := os.ReadFile(arg)
	switch {
	case err == nil && strings.HasSuffix(arg, ".scenario.yaml"):
		s, err := scenarios.Parse(arg, src)
		return checkScenario(s, err)
	case err == nil && strings.HasSuffix(arg, ".topo.yaml"):
		return checkTopology(topologies.Parse(arg, src))
	case err == nil:
		return "", fmt.Errorf("%s: neither *.topo.yaml nor *.scenario.yaml: rename it", arg)
	case strings.ContainsAny(arg, "/.") && !errors.Is(err, os.ErrNotExist):
		return "", err
	}
	if t, err := topologies.Load(topologies.Library(), arg); err == nil {
		return checkTopology(t, nil)
	}
	if s, err := scenarios.Load(scenarios.Library(), arg); err == nil {
		return checkScenario(s, nil)
	}
	return "", fmt.Errorf("%s: no such file, library topology or scenario: `gwlab list topologies` and `gwlab list scenarios` show what there is", arg)
}

func checkTopology(t *topologies.Topology, err error) (string, error) {
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("topology %s, %d nodes, %d links, %d BGP sessions", t.Name, len(t.Nodes), len(t.Links), len(t.Sessions())), nil
}

func checkScenario(s *scenarios.Scenario, err error) (string, error) {
	if err != nil {
		return "", err
	}
	t, err := loadTopology(topologyOf(s), "", nil)
	if err != nil {
		return "", err
	}
	if _, err := scenarios.Compile(s, t, 1, 1); err != nil {
		return "", err
	}
	return fmt.Sprintf("scenario %s on %s, %d phases, %d expectations", s.ID, s.Topology, len(s.Timeline), len(s.Expect)), nil
}

func (a *app) doctor() *cobra.Command {
	return &cobra.Command{
		Use:     "doctor",
		Short:   "Say what this machine can do, by trying it",
		Example: "  gwlab doctor",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			found := capability.Probe(c.Context())
			if a.output == "json" {
				return a.json(found)
			}
			w := a.table()
			fmt.Fprintln(w, "CAPABILITY\tHERE\tDETAIL")
			for _, f := range found {
				here, detail := "yes", f.Detail
				if !f.OK {
					here, detail = "no", strings.TrimSpace(f.Detail+" ("+f.Fix+")")
				}
				fmt.Fprintf(w, "%s\t%s\t%s\n", f.Name, here, detail)
			}
			return w.Flush()
		},
	}
}
