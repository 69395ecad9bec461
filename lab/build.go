package lab

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"

	"gwlab/lab/cable"
	"gwlab/lab/kind"
	"gwlab/lab/netns"
)

// build makes the lab: namespaces, then links, then what runs in the nodes.
// What a failed build made is removed by teardown.
func (s *supervisor) build(life context.Context) error {
	plans, err := planAll(s.topology, s.options.Binaries)
	if err != nil {
		return err
	}
	hosts := hostsFile(s.topology)
	for i, n := range s.topology.Nodes {
		one := &node{
			lab: s.dir.lab(), model: n, spec: plans[i], dir: s.dir.nodeDir(n.Name),
			hosts: hosts, spawner: s.spawner, emit: s.events.add,
		}
		if one.spec.EventSocket != "" {
			one.daemon = newDaemon(n.Name, onHost(one.dir, one.spec.EventSocket))
		}
		s.nodes[n.Name] = one
		s.ordered = append(s.ordered, one)
	}
	if err := s.makeNamespaces(life, plans); err != nil {
		return err
	}
	if err := s.makeLinks(life); err != nil {
		return err
	}
	s.ear.start(life, s.ordered, s.events)
	return s.bootNodes(life)
}

func (s *supervisor) makeNamespaces(life context.Context, plans []kind.Spec) error {
	thread := netns.NewThread()
	defer thread.Close()
	total := len(plans) + 1
	for i, name := range namespacesOf(s.dir.lab(), s.topology) {
		if err := life.Err(); err != nil {
			return err
		}
		settings := netns.Mute() // of the middle, which comes first
		if i > 0 {
			settings = sysctls(plans[i-1])
		}
		if err := thread.Create(name, settings...); err != nil {
			return err
		}
		s.step("namespaces", i+1, total, name)
	}
	return nil
}

func (s *supervisor) makeLinks(life context.Context) error {
	if err := life.Err(); err != nil {
		return err
	}
	total := len(s.topology.Links)
	s.step("links", 0, total, fmt.Sprintf("%d links", total))
	cables, err := cable.Build(linkSpec(s.dir.lab(), s.topology))
	if err != nil {
		return err
	}
	s.cables, s.links = cables, newLinks(s.dir.lab(), s.topology, cables)
	s.step("links", total, total, fmt.Sprintf("%d links", total))
	return nil
}

// atOnce bounds how many nodes start, or are asked how they are, together.
const atOnce = 16

func (s *supervisor) bootNodes(life context.Context) error {
	g, ctx := errgroup.WithContext(life)
	g.SetLimit(atOnce)
	done := make(chan string, len(s.ordered))
	for _, n := range s.ordered {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := n.boot(ctx)
			done <- n.model.Name
			return err
		})
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	for i := 0; ; {
		select {
		case name := <-done:
			i++
			s.step("nodes", i, len(s.ordered), name)
		case err := <-ended:
			return err
		}
	}
}

// step tells the starter how far the build is. Of hundreds of equal steps
// only some are told: each costs a system call.
func (s *supervisor) step(stage string, done, total int, text string) {
	if every := total/20 + 1; done == total || done%every == 0 {
		s.tell(leaseLine{Progress: &Progress{Stage: stage, Done: done, Total: total, Text: text}})
	}
}
