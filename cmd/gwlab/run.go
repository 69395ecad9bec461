package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"gwlab/scenarios"
)

// runOptions are the flags of `gwlab run`.
type runOptions struct {
	all          bool
	repeat       int
	seed         uint64
	gateway      string
	gatewayd     string
	set          []string
	runs         string
	keep         bool
	retryInvalid int
}

func (a *app) run() *cobra.Command {
	var o runOptions
	c := &cobra.Command{
		Use:   "run [SCENARIO…]",
		Short: "Run scenarios and judge them",
		Long: `Run scenarios, each a library id or a *.scenario.yaml file, and judge them.
The lab is built for the run and taken down after it. The exit code is 0 when
all pass, 1 when one fails, 3 when the tester could not measure, 4 when the lab broke.`,
		Example: "  gwlab run UPLINK-02 --repeat 3",
		RunE: func(c *cobra.Command, args []string) error {
			todo, err := selectScenarios(o.all, args)
			if err != nil {
				return badInput(err)
			}
			if err := o.check(c.Flags().Changed("repeat")); err != nil {
				return badInput(err)
			}
			r, err := newRunner(a, o)
			if err != nil {
				return badInput(err)
			}
			return r.run(c.Context(), todo)
		},
	}
	f := c.Flags()
	f.BoolVar(&o.all, "all", false, "run every scenario of the library")
	f.IntVar(&o.repeat, "repeat", 0, "run each scenario this many times (default: as it says)")
	f.Uint64Var(&o.seed, "seed", 0, "seed of the random fault instants (default: from the clock; recorded)")
	f.StringVar(&o.gateway, "gateway", "gatewayd", "implementation under test on the gateway nodes: gatewayd, frr, bird or the path of a gatewayd build")
	f.StringVar(&o.gatewayd, "gatewayd", "", "path of the gatewayd to run (default: beside gwlab)")
	f.StringArrayVar(&o.set, "set", nil, "change the topology: NODE.KEY=VALUE, such as isp1.feed.ipv4=100000")
	f.StringVar(&o.runs, "runs", "runs", "directory for the records of the runs")
	f.BoolVar(&o.keep, "keep", false, "leave the last lab up")
	f.IntVar(&o.retryInvalid, "retry-invalid", 0, "repeat an invalid run at most this often")
	return c
}

// check refuses what no run could do, and fills in what was left open.
func (o *runOptions) check(repeats bool) error {
	switch {
	case repeats && o.repeat < 1 || o.repeat > 1000:
		return fmt.Errorf("repeat %d is out of range: 1 … 1000", o.repeat)
	case o.retryInvalid < 0 || o.retryInvalid > 10:
		return fmt.Errorf("retry-invalid %d is out of range: 0 … 10", o.retryInvalid)
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	return nil
}

func selectScenarios(all bool, args []string) ([]*scenarios.Scenario, error) {
	if all == (len(args) > 0) {
		return nil, errors.New("name the scenarios to run, or --all; `gwlab list scenarios` shows them")
	}
	if all {
		return scenarios.All(scenarios.Library())
	}
	var out []*scenarios.Scenario
	for _, arg := range args {
		src, err := os.ReadFile(arg)
		var s *scenarios.Scenario
		if err == nil {
			s, err = scenarios.Parse(arg, src)
		} else {
			s, err = scenarios.Load(scenarios.Library(), arg)
		}
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}
