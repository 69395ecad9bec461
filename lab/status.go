package lab

import (
	"context"
	"os"

	"golang.org/x/sync/errgroup"

	"gwlab/lab/proc"
	"gwlab/topologies"
)

// info is of a lab that is stopping as soon as it is bound to stop.
func (s *supervisor) info() Info {
	if s.abandoned() {
		<-s.let // at once: there is no more to read of it
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state := s.state
	if s.ending() {
		state = Stopping
	}
	return Info{
		Name: s.dir.lab(), State: state, Pid: os.Getpid(), Nodes: len(s.topology.Nodes),
		Since: s.options.Since, Topology: s.topology.Name, Owned: s.options.Owned && !s.released,
	}
}

func (s *supervisor) status(ctx context.Context) (Status, error) {
	out := Status{Info: s.info(), NodeStatus: make([]NodeStatus, len(s.ordered))}
	var g errgroup.Group
	g.SetLimit(atOnce) // daemons are asked, which may take a moment each
	for i, n := range s.ordered {
		g.Go(func() (err error) {
			out.NodeStatus[i], err = s.nodeStatus(ctx, n)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return out, err
	}
	for _, l := range s.topology.Links {
		ls := LinkStatus{A: l.A.Endpoint(), B: l.B.Endpoint(), Type: l.Type}
		if l.Type == "cable" {
			c, err := s.links.counters(ls.A)
			if err != nil {
				return out, err
			}
			ls.State, ls.AtoB, ls.BtoA = s.links.state(l), c.AtoB, c.BtoA
		}
		out.Links = append(out.Links, ls)
	}
	out.Pending, _ = pending(ctx, s.ordered)
	out.Ready = len(out.Pending) == 0
	return out, nil
}

func (s *supervisor) nodeStatus(ctx context.Context, n *node) (NodeStatus, error) {
	ns := NodeStatus{
		Name: n.model.Name, Kind: n.model.Kind, Role: n.model.Role, ASN: n.model.ASN, RouterID: n.model.RouterID,
		Namespace: namespaceName(n.lab, n.model.Name), Ports: []PortStatus{},
	}
	ns.Powered, ns.InitPid, ns.Processes = n.running()
	for _, p := range n.model.Ports {
		ps, err := s.portStatus(p)
		if err != nil {
			return ns, err
		}
		ns.Ports = append(ns.Ports, ps)
	}
	if ns.Powered {
		ns.Sessions = n.sessions(ctx)
	}
	return ns, nil
}

func (s *supervisor) portStatus(p *topologies.Port) (PortStatus, error) {
	c, err := s.links.carrier(p.Endpoint())
	return PortStatus{Name: p.Name, Addresses: p.Addresses, Peer: string(p.Other().Endpoint()), Carrier: c.Carrier}, err
}

// running tells what runs in the node.
func (n *node) running() (powered bool, initPid int, all []proc.Status) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.sandbox != nil {
		initPid = n.sandbox.Pid()
		for _, p := range n.processes {
			all = append(all, p.Status())
		}
	}
	return n.off == nil, initPid, all
}
