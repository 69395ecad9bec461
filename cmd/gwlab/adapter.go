package main

import (
	"context"
	"fmt"
	"os"

	"gwlab/lab"
	"gwlab/lab/probe"
	"gwlab/reports/convergence"
	"gwlab/scenarios/engine"
)

// bench is a running lab with the probe added: what the engine needs.
type bench struct{ *lab.Lab }

// Probe starts the flows in a process of their own, this very program.
func (b bench) Probe(ctx context.Context, flows []convergence.Flow) (engine.Probe, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	spec := probe.Spec{}
	for _, f := range flows {
		spec.Flows = append(spec.Flows, probe.Flow{
			Flow: f, FromNetns: b.NamespacePath(f.From), ToNetns: b.NamespacePath(f.To),
		})
	}
	s, err := probe.Start(context.WithoutCancel(ctx), probe.Options{Command: []string{self, "probe"}, Spec: spec})
	if err != nil {
		return nil, err
	}
	return s, nil
}
